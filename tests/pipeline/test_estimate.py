"""What a dry run says of a step, beside the step."""

from __future__ import annotations

import json
import time

import pytest
import torch

from estimated_memory import CPU, DIGITS, SEARCHES, digits
from processes import fresh
from unas.compute.runtime import Runtime
from unas.pipeline import estimate
from unas.pipeline.estimate import Size, Step, extended, of_search, sizes, tried_sizes


@pytest.mark.parametrize(
    ("what", "error"), [*((name, 0.2) for name in SEARCHES), ("training", 0.5)]
)
def test_memory_is_near_that_of_the_steps(what: str, error: float) -> None:
    # A process of its own: in one that has done much, what is free lies in many pieces.
    done = fresh("estimated_memory", what)
    assert done.returncode == 0, done.stderr
    said, taken = json.loads(done.stdout)
    assert said == pytest.approx(taken, rel=error)


def test_a_short_step_is_tried_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    config = digits()
    monkeypatch.setattr(estimate, "LONG_SECONDS", 10.0)
    said = of_search(config, DIGITS, config.runtime.build())
    assert said.tried == "64"


class Clock:
    """A clock that planted steps move on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def step(self, size: Size) -> float:
        """Return what a step takes: all architectures are there from 8 on."""
        return 0.05 * min(size.architectures, 8) + 0.01 * size.images


@pytest.mark.parametrize("batch", [16, 64, 512, 4096])
def test_a_planted_time_is_found(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def make(size: Size) -> Step:
        def step() -> None:
            clock.seconds += clock.step(size)

        return step

    monkeypatch.setattr(time, "perf_counter", lambda: clock.seconds)
    said = extended(tried_sizes(make, sizes(batch, 8), Runtime(CPU, torch.float32)), batch)
    assert said.seconds == pytest.approx(clock.step(Size(batch, 8)))


def test_sizes_end_with_the_batch() -> None:
    assert sizes(64, 8)[-3:] == [Size(16, 8), Size(32, 8), Size(64, 8)]
    assert sizes(8, 8) == [Size(2, 2), Size(4, 4), Size(8, 8)]
    assert sizes(192, 8)[:4] == [Size(4, 2), Size(8, 4), Size(16, 8), Size(32, 8)]
    assert sizes(6, 1) == [Size(2), Size(4), Size(6)]
    assert sizes(1, 1) == [Size(1)]
    for batch in range(1, 40):
        for architectures in range(1, batch + 1):
            if batch % architectures == 0:
                grown = sizes(batch, architectures)
                assert grown[-1] == Size(batch, architectures)
                images = [size.images for size in grown]
                assert images == sorted(set(images))
                assert all(size.images % size.architectures == 0 for size in grown)
