"""What a run would cost: steps as the run has them, and phases of no steps at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tiny import SEARCH_STEPS, TRAINING_STEPS, tiny_recipe
from unas.cli import main
from unas.pipeline.opening import new_directory
from unas.pipeline.preflight import preflight


def test_the_steps_are_those_of_the_run() -> None:
    figures = preflight(tiny_recipe())
    assert figures["search_steps"] == SEARCH_STEPS
    assert figures["training_steps"] == TRAINING_STEPS
    seconds = sum(
        figures[f"{phase}_steps"] * figures[f"{phase}_seconds_a_step"]
        for phase in ("search", "training")
    )
    assert figures["total_seconds"] == pytest.approx(seconds)
    assert seconds > 0


def test_a_phase_of_no_steps_takes_no_time() -> None:
    tiny = tiny_recipe()
    search = replace(tiny.search, warm_up_epochs=0, epochs=0)
    training = replace(tiny.training, warm_up_epochs=0, epochs=0)
    figures = preflight(replace(tiny, search=search, training=training))
    assert figures["search_steps"] == figures["training_steps"] == 0
    assert figures["total_seconds"] == 0


def test_a_dry_run_without_training_shows_the_search(capsys: pytest.CaptureFixture[str]) -> None:
    words = "run tiny:tiny_recipe --dry-run --training.epochs 0 --training.warm-up-epochs 0"
    assert main(words.split()) == 0
    assert "training steps" in capsys.readouterr().out


def test_a_new_directory_is_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    directories = []
    for _ in range(3):
        directory = new_directory("digits")
        assert not directory.exists()
        directory.mkdir(parents=True)
        directories.append(directory)
    assert len(set(directories)) == 3
    assert {directory.parent for directory in directories} == {Path("runs")}
