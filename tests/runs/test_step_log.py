"""What a step logs beside its figures: its time, and images a second."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from unas.runs.progress import Progress
from unas.runs.run_log import NullLog
from unas.runs.session import StepLog


class Kept(NullLog):
    """A log that keeps what it was told."""

    def __init__(self) -> None:
        super().__init__(Path(), None)
        self.lines: list[tuple[Any, ...]] = []

    def log(self, *arguments: Any, **named: Any) -> None:
        assert not named
        self.lines.append(arguments)


@pytest.mark.parametrize("is_ended", [True, False])
def test_images_a_second_are_those_of_the_step_without_what_follows_it(
    is_ended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    run = Kept()
    with Progress("training", 9, Path(), quiet=True) as progress:
        log = StepLog(run, progress, "training", 3, images=48)
        now = 102.0
        if is_ended:
            log.end_step()
        now = 106.0
        log({"lr": 0.1}, loss=1.5)
    seconds = 2.0 if is_ended else 6.0
    timings = {"seconds_a_step": seconds, "images_a_second": 48 / seconds}
    assert run.lines == [("training", 3, {"loss": 1.5, "lr": 0.1}, timings)]
