"""Finalists: what is trained, within which share, and that a kill changes nothing."""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import processes
import unas
from tiny import tiny_recipe
from unas.architecture.genotype import Genotype
from unas.common.errors import Interrupted, UserError
from unas.config import Config
from unas.costs.blocks import random_genotypes
from unas.data.base import ImageSet
from unas.pipeline.batches import search_streams
from unas.pipeline.finalist_states import FinalistStates
from unas.pipeline.finalists import FinalistScore, Finals, _checked, finalists_of
from unas.pipeline.opening import work_in
from unas.pipeline.preflight import preflight
from unas.pipeline.rungs import Rung, count_steps, rungs
from unas.pipeline.short_training import ShortTraining
from unas.runs.names import CANDIDATES, FINALIST_STATES, FINALISTS, GENOTYPE, METRICS
from unas.searching.candidates import Candidate
from unas.searching.choosing import ChoosingConfig, Chosen


def with_finalists() -> Config:
    """Return the tiny recipe with three finalists: 3 for an epoch, 3 steps, and 2 for another."""
    recipe = tiny_recipe()
    return replace(
        recipe,
        choosing=ChoosingConfig(candidates=3, finalists=3, finalist_share=0.4),
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


@given(st.integers(2, 50), st.integers(40, 9000), st.integers(1, 500))
def test_rungs_halve_double_and_stay_within_the_share(
    finalists: int, steps: int, epoch: int
) -> None:
    plan = rungs(finalists, steps, epoch)
    assert count_steps(plan) <= steps
    assert plan[0].networks <= finalists
    assert plan[0].begin == 0
    assert plan[0].end >= min(20, epoch)
    assert plan[0].end < epoch or plan[0].end % epoch == 0
    assert plan[-1].networks == 2
    for before, after in itertools.pairwise(plan):
        assert after.begin == before.end
        assert after.end == 2 * before.end
        assert after.networks == (before.networks + 1) // 2


def test_rungs_by_hand() -> None:
    assert rungs(8, 805, 10) == [Rung(8, 0, 50), Rung(4, 50, 100), Rung(2, 100, 200)]
    assert rungs(8, 805, 100) == [Rung(8, 0, 50), Rung(4, 50, 100), Rung(2, 100, 200)]
    assert rungs(8, 805, 40) == [Rung(8, 0, 40), Rung(4, 40, 80), Rung(2, 80, 160)]  # whole epochs
    assert count_steps(rungs(8, 805, 10)) == 8 * 50 + 4 * 50 + 2 * 100
    assert rungs(3, 5, 1) == [Rung(3, 0, 1), Rung(2, 1, 2)]
    assert rungs(8, 5, 1) == [Rung(3, 0, 1), Rung(2, 1, 2)]  # 4 would have 6 epochs at least
    assert rungs(8, 119, 100) == [Rung(3, 0, 23), Rung(2, 23, 46)]  # 4 would have 19 steps
    assert rungs(2, 39, 100) == []
    assert rungs(8, 1, 1) == []
    assert rungs(1, 1000, 10) == []


def test_less_than_an_epoch_is_a_whole_schedule(tmp_path: Path) -> None:
    """In two of the three steps of an epoch the learning rate falls along a cosine to zero."""
    config = with_finalists()
    with work_in(config, tmp_path / "run", "search", resume=False, quiet=True) as work:
        (genotype,) = random_genotypes(config.space, 1, np.random.default_rng(0))
        training = ShortTraining(work, genotype, 2, seed=0)
        optimiser = training._step.optimiser
        rates = [optimiser.param_groups[0]["lr"] for _ in training.steps()]
        assert rates == pytest.approx([config.training.lr / 2, 0.0])
        longer = ShortTraining(work, genotype, 7, seed=0)  # of two epochs and a third
        rates = [longer._step.optimiser.param_groups[0]["lr"] for _ in longer.steps()]
        assert rates == sorted(rates, reverse=True)
        assert rates[-1] == pytest.approx(0.0)
        wrong = 24 * (1 - training.scores().top1)
        assert wrong == pytest.approx(round(wrong))  # of all validation images
        wrong = 5 * (1 - training.scores(5).top1)
        assert wrong == pytest.approx(round(wrong))


def test_a_finalist_learns_from_no_validation_image_and_all_from_the_same_batches(
    tmp_path: Path,
) -> None:
    config = with_finalists()
    with work_in(config, tmp_path / "run", "search", resume=False, quiet=True) as work:
        first, second = random_genotypes(config.space, 2, np.random.default_rng(0))
        before = torch.random.get_rng_state()
        training, other = (ShortTraining(work, genotype, 3, 0) for genotype in (first, second))
        assert torch.equal(torch.random.get_rng_state(), before)
        batches = [[each._stream.batch(step)[0] for step in range(3)] for each in (training, other)]
        for one, same in zip(*batches, strict=True):
            assert torch.equal(one, same)
        streams = search_streams(config, work.data, work.ranks)
        learned, judged = (images_of(stream.image_set) for stream in streams)
        assert torch.equal(images_of(training._stream.image_set), learned)
        assert torch.equal(images_of(training._validation), judged)
        assert not (learned.flatten(1)[:, None] == judged.flatten(1)[None]).all(-1).any()


def images_of(images: ImageSet) -> Tensor:
    return images.read(torch.arange(len(images))).result()[0]


class Fake:
    """Budgets that a set of architectures meets."""

    def __init__(self, within: Sequence[Genotype]) -> None:
        self._within = within

    def within(self, genotype: Genotype) -> bool:
        return genotype in self._within


def test_finalists_are_the_best_that_meet_the_budgets() -> None:
    genotypes = random_genotypes(tiny_recipe().space, 7, np.random.default_rng(0))
    losses = [0.5, 0.9, 0.6, 0.4, math.nan, 0.7, 0.8]
    candidates = []
    for genotype, loss in zip(genotypes, losses, strict=True):
        candidates.append(Candidate(genotype, "draw", 100, loss, 0.5, 0.0, 0.0))
    candidates[1] = replace(candidates[1], source="mode")
    candidates[3] = replace(candidates[3], images=50)  # left when images doubled
    dear = candidates[2]
    budgets: Any = Fake([genotype for genotype in genotypes if genotype != dear.genotype])
    chosen = Chosen(candidates[0], candidates, [], None)  # type: ignore[arg-type]
    best, mode, next_best, last = (candidates[n] for n in (0, 1, 5, 6))
    assert finalists_of(chosen, 10, budgets) == [best, mode, next_best, last]
    assert finalists_of(chosen, 3, budgets) == [best, mode, next_best]


def test_a_network_that_gives_nan_is_the_last() -> None:
    """All its answers are the first class, which may be the largest one."""
    scores = [
        FinalistScore(1.0, 0.70, math.inf),
        FinalistScore(1.0, 0.60, 1.2),
        FinalistScore(1.0, 0.65, 1.1),
    ]
    assert [score.validation_accuracy for score in sorted(scores, key=_order)] == [0.65, 0.6, 0.7]
    early = [FinalistScore(1.5), FinalistScore(math.inf), FinalistScore(1.4)]
    assert [score.training_loss for score in sorted(early, key=_order)] == [1.4, 1.5, math.inf]


def _order(score: FinalistScore) -> tuple[bool, float, float]:
    return score.order


def test_steps_that_were_left_out_are_not_held_against_a_finalist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that gives NaN is skipped in a training, as in any other."""
    steps = ShortTraining.steps

    def with_one_nan(self: ShortTraining, *span: int) -> Iterator[tuple[int, dict[str, float]]]:
        for done, figures in steps(self, *span):
            yield done, {**figures, "loss": math.nan if done in {3, 6} else 2.0 + done}

    monkeypatch.setattr(ShortTraining, "steps", with_one_nan)
    unas.search(with_finalists(), tmp_path / "run", quiet=True)
    losses = [training["training_loss"] for training in trainings(tmp_path / "run")]
    # The second of the first three steps, and of the other three the fifth.
    assert losses == [4.0, 4.0, 4.0, 7.0, 7.0]


def test_what_is_read_of_a_file_travels_between_processes(whole: Path) -> None:
    """Rank 0 reads it, and sends plain values."""
    entries = [_checked(entry) for entry in trainings(whole)]
    sent = io.BytesIO()
    torch.save(entries, sent)
    sent.seek(0)
    assert torch.load(sent, weights_only=True) == entries


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"finalists": 1, "candidates": 8}, "choosing.finalists is 1; it must be 0, or 2 or more"),
        ({"finalists": -2}, "choosing.finalists is -2"),
        ({"finalists": 4, "candidates": 2}, "make choosing.candidates 3 or more"),
        ({"finalist_share": 0.0}, "choosing.finalist_share is 0.0; it must be above 0"),
        ({"finalist_share": 1e305}, "choosing.finalist_share is 1e\\+305; .* at most 100"),
        ({"finalist_share": float("nan")}, "choosing.finalist_share is nan"),
    ],
)
def test_mistakes_are_one_line(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        ChoosingConfig(**fields)


def test_the_best_of_the_last_rung_goes_on(whole: Path) -> None:
    done = trainings(whole)
    assert [training["steps"] for training in done] == [3, 3, 3, 6, 6]

    assert {training["validation_accuracy"] for training in done[:3]} == {None}
    better = sorted(done[:3], key=lambda training: training["training_loss"])[:2]  # type: ignore[no-any-return]
    assert [training["choices"] for training in done[3:]] == [one["choices"] for one in better]
    last = [(-one["validation_accuracy"], one["validation_loss"]) for one in done[3:]]
    best = done[3 + last.index(min(last))]
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
    """It is stopped in a rung, at the end of one and while a network is judged, and killed."""
    spans: list[tuple[int, ...]] = []
    steps, scores, train = ShortTraining.steps, ShortTraining.scores, Finals._train
    run = tmp_path / "run"

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def go_on() -> list[tuple[int, ...]]:
        spans.clear()
        with pytest.raises(Interrupted, match="stopped after search step 9"):
            unas.search(with_finalists(), run, resume=run.exists(), quiet=True)
        return list(spans)

    def stopping_at(last: int) -> None:
        def stopping(self: ShortTraining, *span: int) -> Iterator[tuple[int, dict[str, float]]]:
            spans.append(span)
            for step in steps(self, *span):
                if len(spans) == 1 and step[0] == last:
                    stop()
                yield step

        monkeypatch.setattr(ShortTraining, "steps", stopping)

    stopping_at(2)
    assert go_on() == [(0, 3)]
    stopping_at(3)
    assert go_on() == [(2, 3)]
    assert not (run / FINALISTS).exists()

    def kill(self: Finals, *arguments: Any) -> None:
        train(self, *arguments)
        if len(self.scores) == 4:
            os.kill(os.getpid(), signal.SIGKILL)

    def killed() -> int:
        Finals._train = kill  # type: ignore[assignment, method-assign]
        unas.search(with_finalists(), run, resume=True, quiet=True)
        return 0

    stopping_at(0)
    if processes.CAN_FORK:
        ended = processes.fork(killed).wait()
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert trainings(run) == trainings(whole)[:4]

    def stopping_before(self: ShortTraining, most: int = 0) -> Any:
        stop()
        return scores(self, most)

    with monkeypatch.context() as patch:
        patch.setattr(ShortTraining, "scores", stopping_before)
        rest = [(3, 6)] if processes.CAN_FORK else [(3, 3), (0, 3), (0, 3), (3, 6)]
        assert go_on() == rest
    spans.clear()
    unas.search(with_finalists(), run, resume=True, quiet=True)
    assert spans == ([(6, 6)] if processes.CAN_FORK else [(6, 6), (3, 6)])
    assert not (run / FINALIST_STATES).exists()
    for name in (CANDIDATES, FINALISTS, GENOTYPE, METRICS):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_training_whose_states_are_damaged_begins_again_and_says_so(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keep = FinalistStates.keep

    def damaging(self: FinalistStates, *arguments: Any) -> None:
        keep(self, *arguments)
        for path in self._directory.rglob("*.ckpt"):
            path.write_bytes(path.read_bytes()[:-1])

    monkeypatch.setattr(FinalistStates, "keep", damaging)
    unas.search(with_finalists(), tmp_path / "run", quiet=True)
    assert trainings(tmp_path / "run") == trainings(whole)
    assert "no whole checkpoint is left; starting at the beginning" in caplog.text


def test_what_was_trained_for_other_rungs_does_not_count(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A latency is measured again by a resumed run: another number may be within a budget."""
    run = tmp_path / "run"

    def train_one(self: Finals, *arguments: Any) -> None:
        train(self, *arguments)
        raise Interrupted(run, "search", 9, "again", signal.SIGTERM)

    train = Finals._train
    with monkeypatch.context() as patch:
        patch.setattr("unas.pipeline.finalists.planned", lambda *_: [Rung(2, 0, 3), Rung(2, 3, 9)])
        patch.setattr(Finals, "_train", train_one)
        with pytest.raises(Interrupted):
            unas.search(with_finalists(), run, quiet=True)
    assert [training["steps"] for training in trainings(run)] == [3]
    unas.search(with_finalists(), run, resume=True, quiet=True)
    assert (run / FINALISTS).read_bytes() == (whole / FINALISTS).read_bytes()


def test_a_damaged_file_is_one_line(whole: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    document = json.loads((run / FINALISTS).read_text())
    document["trainings"][0]["choices"] = 3
    (run / FINALISTS).write_text(json.dumps(document))
    with pytest.raises(UserError, match=f"{FINALISTS} is not what unas writes; remove it"):
        unas.search(with_finalists(), run, resume=True, quiet=True)


def test_too_few_steps_train_nothing_and_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = with_finalists()
    config = replace(config, choosing=replace(config.choosing, finalist_share=0.09))
    unas.search(config, tmp_path / "run")
    assert (
        "no finalists are trained: their share of steps, 3, is too small for two"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "run" / FINALISTS).exists()


def test_a_dry_run_counts_them() -> None:
    figures = preflight(with_finalists())
    assert figures["finalists_steps"] == (3 + 2) * 3  # of 72 images in batches of 24
    assert figures["finalists_seconds_a_step"] == figures["training_seconds_a_step"]
    without = preflight(replace(with_finalists(), choosing=ChoosingConfig(candidates=3)))
    assert "finalists_steps" not in without
