"""Numbers that go wrong: NaN and infinities planted in losses, gradients, costs and states at
random steps.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import unas
from planted import CONFIG, batch, build
from tiny import SEARCH_STEPS, TRAINING_STEPS, tiny_recipe
from unas import estimators
from unas.common.errors import UserError
from unas.compute.finite import SkippedUpdates, all_finite, carried_by_gradient, step_if_all_finite
from unas.compute.runtime import RuntimeConfig
from unas.estimators import Estimator
from unas.estimators.rebar import Rebar
from unas.objectives.base import Evaluation, Objective
from unas.runs.checkpoints import Checkpoints, read_checkpoint
from unas.runs.metrics import read_metrics
from unas.runs.names import CHECKPOINTS, METRICS, SUMMARY
from unas.searching.step import SearchStep
from unas.training import TrainingConfig, TrainingStep

BAD = (math.nan, math.inf, -math.inf)
ESTIMATORS = [pytest.param(estimators.get(name), id=name) for name in estimators.names()]
ESTIMATORS += [pytest.param(lambda: Rebar(learn_eta=True), id="rebar, learned eta")]


def everything(search: SearchStep) -> dict[str, Any]:
    """Return the state but for the counts, copied."""
    state = search.state_dict()
    return json.loads(
        json.dumps({name: state[name] for name in sorted(state)}, default=lambda t: t.tolist())
    )  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Latency(Objective):
    """A cost that is a clock: its value can go wrong, and it has no gradient."""

    needs_validation: ClassVar[bool] = False
    readings: ClassVar[list[float]] = []

    def __call__(self, evaluation: Evaluation) -> Tensor:
        latency = torch.ones(len(evaluation.sample))
        if self.readings:
            latency[0] = self.readings[0]
        return latency


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("build_estimator", ESTIMATORS)
def test_a_bad_latency_leaves_policy_and_estimator_as_they_were(
    build_estimator: Callable[[], Estimator], value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    objectives = {**CONFIG.objectives, "latency": Latency()}
    search = build(replace(CONFIG, estimator=build_estimator(), objectives=objectives))
    for number in range(3):
        search(*batch(number))
    before = everything(search)
    monkeypatch.setattr(Latency, "readings", [value])
    figures = search(*batch(3))
    after = everything(search)
    assert figures["skipped"] == 1
    for part in ("policy", "estimator", "policy_optimiser"):
        for key in ("param_groups",):
            before[part].pop(key, None), after[part].pop(key, None)
        assert after[part] == before[part], part
    assert (
        after["supernet"] != before["supernet"]
    )  # the weights know nothing of latencies, and go on
    monkeypatch.setattr(Latency, "readings", [])
    assert "skipped" in search(*batch(4))
    assert search.skipped.in_a_row == 0
    assert all_finite(search.state_dict())
    assert everything(search)["policy"] != before["policy"]


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("part", ["training", "validation"])
def test_a_bad_image_leaves_everything_finite(part: str, value: float) -> None:
    search = build()
    search(*batch(0))
    x, y, x_val, y_val = batch(1)
    (x if part == "training" else x_val)[2, 0, 3, 3] = value
    before, weights = everything(search), [weight.tolist() for weight in search.weights]
    assert search(x, y, x_val, y_val)["skipped"] == 1
    assert all_finite(search.state_dict())  # BatchNorm's running statistics among it
    same = search.policy.state_dict()
    assert {name: values.tolist() for name, values in same.items()} == before["policy"]
    assert (weights == [weight.tolist() for weight in search.weights]) == (part == "training")
    assert search.warm_up(x, y)["skipped"] == (2 if part == "training" else 1)


def test_a_step_that_is_skipped_is_as_if_its_batch_had_not_been_there() -> None:
    """The oracle: two searches whose second step differs in that one skips it and the other never
    takes it.
    """
    with_skip, without = build(), build()
    for search in (with_skip, without):
        search(*batch(0))
    x, y, x_val, y_val = batch(1)
    with_skip(torch.full_like(x, math.nan), y, torch.full_like(x_val, math.nan), y_val)
    without.steps, without.steps_since_warm_up = with_skip.steps, with_skip.steps_since_warm_up
    for search in (with_skip, without):
        search(*batch(2))
    found, expected = everything(with_skip), everything(without)
    assert found.pop("skips") == {"total": 1, "in_a_row": 0}
    assert expected.pop("skips") == {"total": 0, "in_a_row": 0}
    assert found == expected


def test_a_gradient_whose_square_overflows_does_not_poison_adam() -> None:
    parameter = nn.Parameter(torch.zeros(3))
    optimiser = torch.optim.Adam([parameter], lr=0.1)
    plain = torch.optim.Adam([nn.Parameter(torch.zeros(3))], lr=0.1)
    for size in (1.0, 1e30, 2.0):
        parameter.grad = torch.full((3,), size)
        assert step_if_all_finite(optimiser) == (size < 1e19)
        if size < 1e19:
            plain.param_groups[0]["params"][0].grad = torch.full((3,), size)
            plain.step()
        assert all_finite(optimiser.state_dict())
    assert parameter.equal(plain.param_groups[0]["params"][0])


def test_a_huge_learning_rate_does_not_make_the_policy_infinite() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.Adam([parameter], lr=3e37)
    done = []
    for _ in range(30):
        parameter.grad = torch.ones(1)
        done.append(step_if_all_finite(optimiser))
        assert parameter.isfinite()
    assert done[0]
    assert not done[-1]


def test_a_bad_loss_is_carried_by_its_gradient_and_a_good_one_unchanged() -> None:
    x = torch.tensor([0.1, 0.7], requires_grad=True)
    loss = (x**3).sum()
    (expected,) = torch.autograd.grad(loss, x, retain_graph=True)
    (found,) = torch.autograd.grad(carried_by_gradient(loss), x)
    assert found.equal(expected)
    for value in BAD:
        (found,) = torch.autograd.grad(carried_by_gradient(x.sum() + value), x)
        assert not found.isfinite().any()


def test_batchnorm_that_saw_infinity_without_a_bad_loss_is_repaired() -> None:
    """An infinite variance gives an output of zero, so that neither the loss nor the gradient
    tells.
    """
    norm = nn.BatchNorm1d(4)
    network = nn.Sequential(nn.Flatten(), norm, nn.Linear(4, 2))
    step = TrainingStep(
        network,
        TrainingConfig(epochs=2, warm_up_epochs=0),
        RuntimeConfig(device="cpu").build(),
        0,
        4,
    )
    images, labels = torch.randn(6, 1, 2, 2), torch.tensor([0, 1, 0, 1, 1, 0])
    step(0, images, labels)
    assert norm.running_var is not None
    kept = norm.running_var.clone()
    images[0, 0, 0, 0] = 1e25
    step(1, images, labels)
    assert all_finite(step.state_dict())
    assert norm.running_var.equal(kept)


def test_training_skips_what_torch_would_have_taken_in() -> None:
    def new() -> TrainingStep:
        torch.manual_seed(0)
        network = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        config = TrainingConfig(epochs=2, warm_up_epochs=0)
        return TrainingStep(network, config, RuntimeConfig(device="cpu").build(), 0, 4)

    images, labels = torch.randn(6, 1, 2, 2), torch.tensor([0, 1, 0, 1, 1, 0])
    with_skip, without = new(), new()
    assert "skipped" not in with_skip(0, images, labels)
    assert math.isnan(with_skip(1, images * math.nan, labels)["loss"])
    with_skip(2, images, labels)
    without(0, images, labels)
    without(2, images, labels)
    assert with_skip.skipped.state_dict() == {"total": 1, "in_a_row": 0}
    for name, value in without.network.state_dict().items():
        if "num_batches" not in name:
            assert with_skip.network.state_dict()[name].equal(value), name


def test_counts_are_in_the_state() -> None:
    skips, again = SkippedUpdates(2), SkippedUpdates(2)
    for is_updated in (False, True, False, False):
        skips.note(is_updated=is_updated)
    again.load_state_dict(skips.state_dict())
    assert not again.are_too_many
    again.note(is_updated=False)
    assert again.are_too_many
    assert again.figures() == {"skipped": 4.0}


def poison(
    monkeypatch: pytest.MonkeyPatch, where: type, name: str, steps: set[int], value: float
) -> None:
    """Add `value` to the loss that method `name` returns in its calls number `steps`."""
    method = getattr(where, name)
    calls: list[None] = []

    def poisoned(self: Any, *arguments: Any) -> Tensor:
        calls.append(None)
        loss: Tensor = method(self, *arguments)
        return loss + value if len(calls) in steps else loss

    monkeypatch.setattr(where, name, poisoned)


def test_a_run_counts_what_it_skips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)  # noqa: S311
    in_search, in_training = draw.randint(1, SEARCH_STEPS - 3), draw.randint(1, TRAINING_STEPS)
    poison(monkeypatch, SearchStep, "weight_loss", {in_search}, math.nan)
    poison(monkeypatch, TrainingStep, "_loss", {in_training}, math.inf)
    result = unas.run(tiny_recipe(), tmp_path / "run", quiet=True)
    summary = json.loads((tmp_path / "run" / SUMMARY).read_text())
    assert (summary["skipped_search_updates"], summary["skipped_training_updates"]) == (1, 1)
    assert result.summary == summary
    lines = list(read_metrics(tmp_path / "run" / METRICS))
    skipped = {(line["phase"], line["step"]) for line in lines if line.get("skipped")}
    warm_up = SEARCH_STEPS // 3
    assert ("search", warm_up + in_search) in skipped
    assert ("search", warm_up + in_search - 1) not in skipped
    assert min(step for phase, step in skipped if phase == "training") == in_training
    assert (
        next(line for line in lines if line["step"] == in_training and line["phase"] == "training")[
            "loss"
        ]
        is None
    )


@pytest.mark.parametrize("phase", ["search", "training"])
def test_too_many_in_a_row_stop_with_step_terms_and_the_last_good_checkpoint(
    phase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe()
    config = replace(
        recipe,
        search=replace(recipe.search, max_skipped=2),
        training=replace(recipe.training, max_skipped=2),
    )
    if phase == "search":
        poison(monkeypatch, SearchStep, "weight_loss", set(range(2, 99)), math.nan)
        last, good = SEARCH_STEPS // 3 + 4, SEARCH_STEPS // 3 + 1
    else:
        poison(monkeypatch, TrainingStep, "_loss", set(range(4, 99)), math.nan)
        last, good = 6, 2
    with pytest.raises(UserError) as caught:
        unas.run(config, tmp_path / "run", quiet=True)
    message = str(caught.value)
    assert message.startswith(f"{phase} step {last}: numbers are not finite in 3 updates in a row")
    assert "\n" not in message
    assert f"{phase}.max_skipped 2" in message
    assert ("train_loss nan" if phase == "search" else "loss nan") in message
    newest = Checkpoints(tmp_path / "run" / CHECKPOINTS).paths()[-1]
    assert newest.name.endswith(
        f"-{phase}-{good}.ckpt"
    )  # every two steps, none of them during the row
    assert str(newest) in message
    assert all_finite(read_checkpoint(newest).state)


def test_the_last_good_checkpoint_is_one_with_finite_numbers(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path)
    good = store.save("search", 1, {"weights": torch.zeros(2)})
    store.save("search", 2, {"weights": torch.tensor([0.0, math.inf])})
    assert store.newest_finite() == good
