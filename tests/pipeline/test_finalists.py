"""Finalists: what is trained, within which share, and that a kill changes nothing."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import processes
import unas
from tiny import tiny_recipe
from unas.common.errors import Interrupted, UserError
from unas.config import Config
from unas.pipeline.finalists import Finals
from unas.pipeline.preflight import preflight
from unas.pipeline.rungs import Rung, rungs
from unas.pipeline.short_training import ShortTraining
from unas.runs.names import CANDIDATES, FINALISTS, GENOTYPE, METRICS
from unas.searching.choosing import ChoosingConfig


def with_finalists() -> Config:
    """Return the tiny recipe with three finalists: 3 for an epoch, then 2 for two epochs."""
    recipe = tiny_recipe()
    return replace(
        recipe,
        choosing=ChoosingConfig(candidates=3, finalists=3, finalist_share=0.7),
        training=replace(recipe.training, epochs=10),
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search with finalists that was never stopped."""
    run = tmp_path_factory.mktemp("finalists") / "whole"
    unas.search(with_finalists(), run, quiet=True)
    return run


def trainings(run: Path) -> list[dict[str, Any]]:
    return json.loads((run / FINALISTS).read_text())["trainings"]  # type: ignore[no-any-return]


@given(st.integers(2, 50), st.floats(2, 200))
def test_rungs_halve_double_and_stay_within_the_share(finalists: int, epochs: float) -> None:
    plan = rungs(finalists, epochs)
    total = sum(rung.networks * rung.epochs for rung in plan)
    assert total <= epochs * (1 + 1e-6)  # 0.2 of 35 is 7, whatever a float says
    assert plan[0].networks <= finalists
    assert plan[0].epochs >= 1
    assert plan[-1].networks == 2
    for before, after in itertools.pairwise(plan):
        assert after.epochs == 2 * before.epochs
        assert after.networks == (before.networks + 1) // 2


def test_rungs_by_hand() -> None:
    assert rungs(8, 120) == [Rung(8, 5), Rung(4, 10), Rung(2, 20)]
    assert rungs(3, 7) == [Rung(3, 1), Rung(2, 2)]
    assert rungs(8, 7) == [Rung(3, 1), Rung(2, 2)]  # 4 would have 8 epochs at least
    assert rungs(8, 1.9) == []
    assert rungs(1, 100) == []


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"finalists": 1, "candidates": 8}, "choosing.finalists is 1; it must be 0, or 2 or more"),
        ({"finalists": -2}, "choosing.finalists is -2"),
        ({"finalists": 4, "candidates": 2}, "make choosing.candidates 3 or more"),
        ({"finalist_share": 0.0}, "choosing.finalist_share is 0.0; it must be above 0"),
        ({"finalist_share": float("nan")}, "choosing.finalist_share is nan"),
    ],
)
def test_mistakes_are_one_line(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        ChoosingConfig(**fields)


def test_the_best_of_the_last_rung_goes_on(whole: Path) -> None:
    done = trainings(whole)
    assert [training["epochs"] for training in done] == [1, 1, 1, 2, 2]

    def order(training: dict[str, Any]) -> tuple[float, float]:
        return -training["validation_accuracy"], training["validation_loss"]

    better = sorted(done[:3], key=order)[:2]
    assert [training["choices"] for training in done[3:]] == [one["choices"] for one in better]
    best = min(done[3:], key=order)
    assert json.loads((whole / GENOTYPE).read_text())["choices"] == best["choices"]
    candidates = json.loads((whole / CANDIDATES).read_text())["candidates"]
    (chosen,) = [candidate for candidate in candidates if candidate["chosen"]]
    assert chosen["choices"] == best["choices"]
    (mode,) = [candidate for candidate in candidates if candidate["source"] == "mode"]
    assert mode["choices"] in [training["choices"] for training in done[:3]]
    summary = json.loads((whole / "summary.json").read_text())
    assert summary["finalists"] == 3
    assert summary["finalist_accuracy"] == best["validation_accuracy"]
    assert summary["validation_loss"] == chosen["validation_loss"]


def test_a_run_that_is_stopped_and_killed_ends_with_the_same_bytes(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = ShortTraining.steps
    done: list[int] = []

    def stopping(self: ShortTraining) -> Iterator[tuple[int, dict[str, float]]]:
        for step in steps(self):
            done.append(1)
            if len(done) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            yield step

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(ShortTraining, "steps", stopping)
        with pytest.raises(Interrupted, match="stopped after search step 9"):
            unas.search(with_finalists(), run, quiet=True)
    assert len(done) == 2  # in the first of three steps of the first finalist
    assert not (run / FINALISTS).exists()

    def kill(self: Finals, *arguments: Any) -> None:
        train(self, *arguments)
        if len(self.scores) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    train = Finals._train

    def killed() -> int:
        Finals._train = kill  # type: ignore[assignment, method-assign]
        unas.search(with_finalists(), run, resume=True, quiet=True)
        return 0

    if processes.CAN_FORK:
        ended = processes.fork(killed).wait()
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert trainings(run) == trainings(whole)[:2]
    began = []

    def counting(self: ShortTraining) -> Iterator[tuple[int, dict[str, float]]]:
        began.append(self.total)
        return steps(self)

    monkeypatch.setattr(ShortTraining, "steps", counting)
    unas.search(with_finalists(), run, resume=True, quiet=True)
    assert len(began) == (3 if processes.CAN_FORK else 5)  # and not those that were finished
    for name in (CANDIDATES, FINALISTS, GENOTYPE, METRICS):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_damaged_file_is_one_line(whole: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    document = json.loads((run / FINALISTS).read_text())
    document["trainings"][0]["choices"] = 3
    (run / FINALISTS).write_text(json.dumps(document))
    with pytest.raises(UserError, match=f"{FINALISTS} is not what unas writes; remove it"):
        unas.search(with_finalists(), run, resume=True, quiet=True)


def test_too_few_epochs_train_nothing_and_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = with_finalists()
    config = replace(config, choosing=replace(config.choosing, finalist_share=0.1))
    unas.search(config, tmp_path / "run")
    assert (
        "no finalists are trained: their share of epochs, 1, is not one for each of two"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "run" / FINALISTS).exists()


def test_a_dry_run_counts_them() -> None:
    figures = preflight(with_finalists())
    assert figures["finalists_steps"] == (3 * 1 + 2 * 2) * 3  # of 72 images in batches of 24
    assert figures["finalists_seconds_a_step"] == figures["training_seconds_a_step"]
    without = preflight(replace(with_finalists(), choosing=ChoosingConfig(candidates=3)))
    assert "finalists_steps" not in without
