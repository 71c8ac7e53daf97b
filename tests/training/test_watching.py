"""Trainings that are watched: scores after each epoch, and the weights that are delivered."""

from __future__ import annotations

import copy
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import unas
from tiny import tiny_recipe
from unas.common.errors import Interrupted, UserError
from unas.compute.runtime import RuntimeConfig
from unas.pipeline.batches import training_parts, watched_batches
from unas.runs.directory import RunDirectory
from unas.training import TrainingConfig, TrainingStep, Watch
from unas.training.watching import Watched

RUNTIME = RuntimeConfig(device="cpu").build()
BEST = replace(tiny_recipe().training, epochs=4, validation_fraction=0.25, keep="best")


class Constant(nn.Module):
    """The same two logits for every image."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(2))

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), 2)


def watched(*, keeps_best: bool) -> Watched:
    training = TrainingStep(Constant(), TrainingConfig(epochs=9), RUNTIME, 0, 1)
    labels = torch.tensor([0, 0, 0, 1])
    batches = [(torch.zeros(4, 1, 2, 2), labels)]
    return Watched(training, Watch("validation", batches, keeps_best=keeps_best))


def set_logits(training: TrainingStep, *logits: float) -> None:
    with torch.no_grad():
        training.network.logits.copy_(torch.tensor(logits))


EPOCHS = [(0.0, 1.0), (1.0, 0.0), (1.1, 0.0), (9.0, 0.0), (0.0, 2.0)]  # the third is the best


def test_the_best_weights_are_those_of_the_highest_accuracy_and_then_the_least_loss() -> None:
    best = watched(keeps_best=True)
    scores = []
    for epoch, logits in enumerate(EPOCHS, 1):
        set_logits(best.training, *logits)
        scores.append(best.look(epoch)["validation_top1"])
    assert scores == [0.25, 0.75, 0.75, 0.75, 0.25]
    assert best.deliver() == {"weights": "best, of epoch 3"}
    assert best.training.network.logits.tolist() == pytest.approx(EPOCHS[2])


def test_weights_of_a_loss_that_is_not_finite_are_never_the_best() -> None:
    best = watched(keeps_best=True)
    for epoch, logits in enumerate([(float("inf"), 0.0), *EPOCHS[1:3]], 1):
        set_logits(best.training, *logits)
        best.look(epoch)
    assert best.deliver() == {"weights": "best, of epoch 3"}


def test_the_last_weights_are_kept_unless_the_best_are_asked_for() -> None:
    last = watched(keeps_best=False)
    for epoch, logits in enumerate(EPOCHS, 1):
        set_logits(last.training, *logits)
        last.look(epoch)
    assert last.deliver() == {"weights": "last"}
    assert last.training.network.logits.tolist() == list(EPOCHS[-1])
    assert "best" not in last.state_dict()


def test_the_best_so_far_is_part_of_the_state() -> None:
    before = watched(keeps_best=True)
    for epoch, logits in enumerate(EPOCHS[:3], 1):
        set_logits(before.training, *logits)
        before.look(epoch)
    state = copy.deepcopy(before.state_dict())
    after = watched(keeps_best=True)
    after.load_state_dict(state)
    for epoch, logits in enumerate(EPOCHS[3:], 4):
        set_logits(after.training, *logits)
        after.look(epoch)
    assert after.deliver() == {"weights": "best, of epoch 3"}
    assert after.training.network.logits.tolist() == pytest.approx(EPOCHS[2])


@pytest.mark.parametrize("damage", [{"rank": ["x", 1]}, {"weights": {}}, {"epoch": "one"}])
def test_a_damaged_best_is_refused(damage: dict[str, Any]) -> None:
    before = watched(keeps_best=True)
    before.look(1)
    state = before.state_dict()
    state["best"] = {**state["best"], **damage}
    with pytest.raises((ValueError, RuntimeError, KeyError)):
        watched(keeps_best=True).load_state_dict(state)


@pytest.fixture(scope="module")
def best_run(tmp_path_factory: pytest.TempPathFactory) -> unas.Result:
    directory = tmp_path_factory.mktemp("best") / "run"
    return unas.run(replace(tiny_recipe(), training=BEST), directory, quiet=True)


def test_images_are_kept_and_tell_which_weights_are_best(best_run: unas.Result) -> None:
    lines = (best_run.directory / "metrics.jsonl").read_text().splitlines()
    scores = [
        line["validation_top1"] for line in map(json.loads, lines) if "validation_top1" in line
    ]
    assert len(scores) == BEST.epochs
    epoch = int(best_run.summary["weights"].removeprefix("best, of epoch "))
    assert scores[epoch - 1] == max(scores)
    assert best_run.summary["training_images"] == 72
    assert best_run.summary["training_validation_images"] == 24
    assert "test_top1" not in "".join(lines)


def test_kept_images_are_not_learned_from() -> None:
    config = replace(tiny_recipe(), training=BEST)
    data = config.dataset.load(Path("data"))
    train, kept = training_parts(config, data)
    assert kept is not None
    assert len(train) + len(kept) == len(data.train)

    def content(images: Any) -> set[bytes]:
        return {image.numpy().tobytes() for image in images.images}

    assert not content(train) & content(kept)


def test_a_run_that_is_stopped_after_every_step_delivers_the_same_best_weights(
    best_run: unas.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RunDirectory.log
    monkeypatch.setattr("unas.pipeline.api.export_network", lambda *_: None)  # takes the longest
    stops = 0

    def stopping_log(self: RunDirectory, *arguments: Any) -> None:
        log(self, *arguments)
        os.kill(os.getpid(), signal.SIGTERM)

    config = replace(tiny_recipe(), training=BEST, genotype=str(best_run.directory))
    expected = unas.run(config, tmp_path / "expected", quiet=True)
    monkeypatch.setattr(RunDirectory, "log", stopping_log)
    while True:
        try:
            done = unas.run(config, tmp_path / "run", resume=True, quiet=True)
            break
        except Interrupted:
            stops += 1
    assert stops == BEST.epochs * 72 // 24
    assert done.summary["weights"] == expected.summary["weights"]
    for name in ("metrics.jsonl", "model.safetensors"):
        first, second = (tmp_path / run / name for run in ("run", "expected"))
        assert first.read_bytes() == second.read_bytes()


def test_watched_images_are_spread_over_all_of_them() -> None:
    config = tiny_recipe()
    data = config.dataset.load(Path("data"))
    many = data.test.subset(torch.arange(24).repeat_interleave(100))
    batches = list(watched_batches(data, many, RUNTIME.ranks))
    assert sum(len(labels) for _, labels in batches) == 2000
    counts = torch.cat([labels for _, labels in batches]).bincount(minlength=10)
    shares = counts / counts.sum() - data.test.labels.bincount(minlength=10) / 24
    assert shares.abs().max() < 0.01


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"keep": "first"}, "training.keep is 'first'; it must be last or best"),
        ({"keep": "best"}, "no images are kept for validation"),
        ({"validation_fraction": 1.0}, "training.validation_fraction is 1.0; it must be at least"),
        ({"validation_fraction": -0.1}, "training.validation_fraction is -0.1"),
        ({"validation_fraction": float("nan")}, "training.validation_fraction is nan"),
    ],
)
def test_mistakes_are_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        TrainingConfig(**fields)


def test_too_few_images_are_left_to_learn_from(tmp_path: Path) -> None:
    training = replace(BEST, validation_fraction=0.9)
    with pytest.raises(UserError, match="batch_size is 24, but there are 10 training images"):
        unas.run(replace(tiny_recipe(), training=training), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
