"""What every estimator must hold besides its expectation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch

from unas import estimators
from unas.architecture.policy import Policy, Sample
from unas.common.errors import UserError
from unas.estimators import Estimator
from unas.estimators.rebar import Rebar
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.lab.gradients import gradient
from unas.lab.problems import PROBLEMS, Problem

ALL = [pytest.param(estimators.get(name), id=name) for name in estimators.names()]
ALL.append(pytest.param(lambda: ReinforceLeaveOneOut(draws=3), id="reinforce_loo, three draws"))
ALL.append(pytest.param(lambda: Rebar(is_coupled=False), id="rebar, independent noise"))
ALL.append(
    pytest.param(
        lambda: Rebar(leave_one_out=True, learn_eta=True), id="rebar, leave-one-out, learned eta"
    )
)
WITH_TEMPERATURE = [
    name
    for name in estimators.names()
    if "temperature" in estimators.get(name).__dataclass_fields__
]


def draw(
    build: Callable[[], Estimator], problem: Problem, policy: Policy, seed: int
) -> torch.Tensor:
    return gradient(
        build(), problem, policy, num_samples=4, generator=torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize("build", ALL)
def test_same_noise_gives_the_same_gradient_and_other_noise_another(
    build: Callable[[], Estimator],
) -> None:
    problem = PROBLEMS[-1]
    first, again, other = (draw(build, problem, problem.policy(), seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == (build().__class__.__name__ == "Exact")


@pytest.mark.parametrize("build", ALL)
def test_leaves_the_global_generator_alone(build: Callable[[], Estimator]) -> None:
    before = torch.get_rng_state()
    draw(build, PROBLEMS[-1], PROBLEMS[-1].policy(), 1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("build", ALL)
def test_returns_a_scalar_and_leaves_the_policy_alone(build: Callable[[], Estimator]) -> None:
    policy = PROBLEMS[-1].policy()
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    loss = build()(policy, PROBLEMS[-1].cost, num_samples=4)
    assert loss.shape == ()
    loss.backward()
    assert all(torch.equal(value, before[name]) for name, value in policy.state_dict().items())


@pytest.mark.parametrize("build", ALL)
def test_gradient_of_a_cost_in_single_precision_is_that_in_double(
    build: Callable[[], Estimator],
) -> None:
    problem = PROBLEMS[-1]

    class Single(Problem):
        def cost(self, sample: Sample) -> torch.Tensor:
            return super().cost(sample).float()

    single = Single(problem.name, problem.logits, problem.function, problem.softening)
    found = draw(build, single, problem.policy(), 3)
    expected = draw(build, problem, problem.policy(torch.float64), 3)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("softening", [0.0, 0.08])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("scale", [50.0, 100.0, 1000.0])
@pytest.mark.parametrize("build", ALL)
def test_gradients_stay_finite_and_bounded_at_nearly_decided_policies(
    build: Callable[[], Estimator], scale: float, dtype: torch.dtype, softening: float
) -> None:
    logits = ((scale, -scale), (0.0, scale, -scale, scale), (-scale, 0.0, 0.0))
    table = torch.tensor([[1.0, -2.0, 0.5, 3.0], [0.3, 1.0, -1.0, 2.0]]).double()

    def function(weights: list[torch.Tensor]) -> torch.Tensor:
        return torch.einsum("ga,gb,ab->g", weights[0], weights[1], table) * (
            1 + weights[2][:, 0].square()
        )

    problem = Problem("decided", logits, function, softening)
    for seed in range(20):
        found = draw(build, problem, problem.policy(dtype), seed)
        assert found.isfinite().all(), found
        # |∂cost| ≤ 12 a weight, passed through softmax(·/0.4) and softmax: a bound that no overflow
        # keeps.
        assert found.abs().max() < 100


@pytest.mark.parametrize("build", ALL)
def test_refuses_to_draw_nothing(build: Callable[[], Estimator]) -> None:
    with pytest.raises(UserError, match="num_samples is 0"):
        build()(PROBLEMS[0].policy(), PROBLEMS[0].cost, num_samples=0)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
@pytest.mark.parametrize("name", WITH_TEMPERATURE)
def test_refuses_an_impossible_temperature(name: str, temperature: float) -> None:
    with pytest.raises(UserError, match="temperature is"):
        cast("Any", estimators.get(name))(temperature=temperature)


@pytest.mark.parametrize("build", ALL)
def test_cost_is_differentiated_only_where_the_estimator_says_so(
    build: Callable[[], Estimator],
) -> None:
    estimator, modes = build(), []

    def cost(sample: Sample) -> torch.Tensor:
        modes.append(
            torch.is_grad_enabled() and any(group.requires_grad for group in sample.groups)
        )
        return PROBLEMS[-1].cost(sample)

    estimator(PROBLEMS[-1].policy(), cost, num_samples=4)
    assert any(modes) == estimator.needs_cost_gradient


@pytest.mark.parametrize("build", ALL)
@pytest.mark.parametrize("prepare", [lambda e: e, lambda e: e.with_fewest_draws()], ids=["", "few"])
def test_fewest_samples_is_the_least_that_a_call_takes(
    build: Callable[[], Estimator], prepare: Callable[[Estimator], Estimator]
) -> None:
    estimator, problem = prepare(build()), PROBLEMS[0]
    fewest = estimator.fewest_samples
    assert estimator(problem.policy(), problem.cost, num_samples=fewest).isfinite()
    with pytest.raises(UserError):
        estimator(problem.policy(), problem.cost, num_samples=fewest - 1)


def test_with_fewest_draws_asks_for_two_costs_where_others_are_needed() -> None:
    asked = []

    def cost(sample: Sample) -> torch.Tensor:
        asked.append(len(sample))
        return PROBLEMS[0].cost(sample)

    estimator = ReinforceLeaveOneOut(draws=8).with_fewest_draws()
    estimator(PROBLEMS[0].policy(), cost, num_samples=estimator.fewest_samples)
    assert asked == [2]
