"""Learning rates, and a search that goes on from its state."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from planted import CONFIG, batch, build
from unas import estimators
from unas.estimators import Estimator
from unas.estimators.rebar import Rebar
from unas.estimators.reinforce import Reinforce
from unas.runs.checkpoints import require_plain
from unas.searching.config import SampleKind, Schedule
from unas.searching.step import SearchStep
from unas.searching.watching import watched

ESTIMATORS = [pytest.param(estimators.get(name), id=name) for name in estimators.names()]
ESTIMATORS += [pytest.param(lambda: Rebar(learn_eta=True), id="rebar, learned eta")]


@pytest.mark.parametrize("build_estimator", ESTIMATORS)
def test_goes_on_from_its_state_as_if_never_stopped(
    build_estimator: Callable[[], Estimator],
) -> None:
    config = replace(CONFIG, estimator=build_estimator())
    search = build(config, 6)
    search.warm_up(*batch(0)[:2])
    for number in (1, 2):
        search(*batch(number))
    file = io.BytesIO()
    require_plain(search.state_dict(), "state")
    torch.save(search.state_dict(), file)
    file.seek(0)
    resumed = build(config, 6)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    torch.rand(3)  # what else is drawn in the process must not matter
    for number in (3, 4):
        assert search(*batch(number)) == resumed(*batch(number))
    for found, expected in zip(
        resumed.state_dict()["supernet"].values(),
        search.supernet.state_dict().values(),
        strict=True,
    ):
        assert found.equal(expected)
    assert all(
        p.equal(q)
        for p, q in zip(resumed.policy.parameters(), search.policy.parameters(), strict=True)
    )


def test_configuration_is_not_changed_by_a_search() -> None:
    config = replace(CONFIG, estimator=estimators.get("reinforce")())
    first = build(config)
    losses = [first(*batch(0)), first(*batch(1))]
    again = build(config)
    assert [again(*batch(0)), again(*batch(1))] == losses


def policy_rate(search: SearchStep) -> float:
    rate: float = search.policy_optimiser.param_groups[0]["lr"]
    return rate


@pytest.mark.parametrize(
    ("estimator", "weights_on", "expected"),
    [
        (Rebar(temperature=0.7), "hard", (None, 0.7)),
        (Rebar(temperature=0.7), "relaxed", (0.3, 0.7)),
        (Reinforce(), "relaxed", (0.3, 0.3)),
        (Reinforce(), "hard", (None, None)),
    ],
)
def test_temperature_is_that_of_the_relaxed_samples_that_are_drawn(
    estimator: Estimator, weights_on: SampleKind, expected: tuple[float | None, float | None]
) -> None:
    config = replace(CONFIG, estimator=estimator, weights_on=weights_on, relaxed_temperature=0.3)
    search = build(config)
    search.warm_up(*batch(0)[:2])
    in_warm_up = watched(search).get("temperature")
    search(*batch(1))
    assert (in_warm_up, watched(search).get("temperature")) == expected


def test_learning_rates_fall_along_a_cosine() -> None:
    total = 5
    search = build(total_steps=total)
    found: list[tuple[float, float]] = []
    for number in range(total):
        if number == 0:
            search.warm_up(*batch(number)[:2])
        else:
            search(*batch(number))
        of_weights = search.weight_optimiser.param_groups[0]["lr"]
        of_policy = policy_rate(search)
        found.append((of_weights, of_policy))
        logged = watched(search)
        assert logged["weights_lr"] == of_weights
        assert logged.get("policy_lr") == (of_policy if number else None)  # not in warm-up
    for config, rates in (
        (CONFIG.weights, [w for w, _ in found]),
        (CONFIG.policy, [p for _, p in found]),
    ):
        optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], config.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, total, config.final_lr)
        expected = [config.lr]
        for _ in range(total - 1):
            optimiser.step()
            schedule.step()
            expected.append(float(schedule.get_last_lr()[0]))
        assert rates == pytest.approx(expected)
        assert all(earlier > later for earlier, later in pairwise(rates))
        assert config.lr_at(1.0) == pytest.approx(config.final_lr)


def test_restarted_schedule_falls_over_the_search_epochs_alone() -> None:
    warm_up, total = 3, 7
    search = build(replace(CONFIG, schedule="restarted"), total)
    weights, policy = [], []
    for number in range(warm_up):
        search.warm_up(*batch(number)[:2])
        weights.append(search.weight_optimiser.param_groups[0]["lr"])
    for number in range(warm_up, total):
        search(*batch(number))
        weights.append(search.weight_optimiser.param_groups[0]["lr"])
        policy.append(search.policy_optimiser.param_groups[0]["lr"])
    cosines = [1.0, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5]  # (1 + cos 0°, 45°, 90°, 135°) / 2
    falling = [1e-3 + (2e-2 - 1e-3) * cosine for cosine in cosines]
    assert weights == pytest.approx([2e-2] * warm_up + falling)
    assert policy == pytest.approx([1e-2 + (1e-1 - 1e-2) * cosine for cosine in cosines])


@pytest.mark.parametrize(("schedule", "steps"), [("restarted", [1, 2]), ("whole", [3, 4])])
def test_adam_remembers_nothing_of_warm_up_under_the_restarted_schedule(
    schedule: Schedule, steps: list[int]
) -> None:
    search = build(replace(CONFIG, schedule=schedule), 4)
    for number in (0, 1):
        search.warm_up(*batch(number)[:2])
    for number, expected in zip((2, 3), steps, strict=True):
        search(*batch(number))
        states = search.weight_optimiser.state.values()
        assert {int(state["step"]) for state in states} == {expected}
    assert {int(state["step"]) for state in search.policy_optimiser.state.values()} == {2}


def test_a_search_that_stops_at_the_end_of_warm_up_starts_anew_as_well() -> None:
    config = replace(CONFIG, schedule="restarted")
    search = build(config, 3)
    search.warm_up(*batch(0)[:2])
    resumed = build(config, 3)
    resumed.load_state_dict(copy.deepcopy(search.state_dict()))
    for number in (1, 2):
        assert search(*batch(number)) == resumed(*batch(number))


def test_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    search = build()
    search(*batch(0))
    assert torch.get_rng_state().equal(before)
