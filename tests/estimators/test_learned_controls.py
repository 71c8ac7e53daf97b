"""What relax and rebar learn between calls: less variance, no bias, and all of it in their state."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from unas import estimators
from unas.architecture.policy import Layout, Policy
from unas.common.errors import UserError
from unas.estimators import Cost, Estimator, RunningEstimator, State
from unas.estimators._control_variate import QuadraticControlVariate
from unas.estimators._gumbel import Groups, draw_hard
from unas.estimators._learned_eta import EtaHistory
from unas.estimators._per_sample import as_loss, copies, in_logits
from unas.estimators.rebar import Rebar
from unas.estimators.relax import Relax
from unas.lab.gradients import gradient, measure
from unas.lab.problems import PROBLEMS, Problem

PROBLEM = {problem.name: problem for problem in PROBLEMS}
LEARNING = [Relax(), Rebar(learn_eta=True), Rebar(leave_one_out=True, learn_eta=True)]


def variance(estimator: Estimator, problem: Problem, *, after: int = 0) -> float:
    return measure(
        estimator, problem, num_estimates=200, num_samples=16, seed=1, burn_in=after
    ).variance


@pytest.mark.parametrize("name", ["cross-entropy", "hinge", "product"])
def test_relax_learns_to_beat_reinforce_without_a_gradient_of_the_cost(name: str) -> None:
    reinforce = variance(estimators.get("reinforce")(), PROBLEM[name], after=50)
    assert variance(Relax(), PROBLEM[name], after=500) < 0.75 * reinforce


@pytest.mark.parametrize("name", ["network", "log-sum-exp", "cross-entropy"])
def test_learned_eta_and_leave_one_out_beat_reinforce_and_rebar(name: str) -> None:
    found = variance(
        Rebar(leave_one_out=True, learn_eta=True, eta_decay=0.9), PROBLEM[name], after=50
    )
    assert found < variance(estimators.get("reinforce")(), PROBLEM[name], after=50)
    assert found < 0.95 * variance(Rebar(), PROBLEM[name])


def test_learned_eta_is_the_regression_coefficient() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(4000, 2, 3, generator=generator).double()
    b = (
        -a * torch.tensor([0.5, 2.0])[:, None]
        + 0.1 * torch.randn(4000, 2, 3, generator=generator).double()
    )
    history = EtaHistory.empty(Layout({"one": "abc", "other": "abc"}, "space"))
    assert history.eta(1.0)[0].tolist() == [1.0, 1.0]
    history = history.after((a,), (b,), decay=0.0)
    x, y = b.flatten(2).permute(1, 0, 2).flatten(1), a.permute(1, 0, 2).flatten(1)
    expected = [float(torch.linalg.lstsq(-x[i][:, None], y[i][:, None]).solution) for i in range(2)]
    assert history.eta(1.0)[0].tolist() == pytest.approx(expected)


def test_a_slow_average_moves_eta_slowly_from_its_start() -> None:
    history = EtaHistory.empty(Layout({"choice": "ab"}, "space"))
    ones = torch.ones(1, 1, 2)
    history = history.after((ones,), (-ones / 3,), decay=0.9)  # the best η is 3
    assert float(history.eta(1.0)[0]) == pytest.approx(0.1 * 3 + 0.9 * 1)


def estimate(running: Estimator | RunningEstimator, problem: Problem, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return gradient(running, problem, problem.policy(), num_samples=4, generator=generator)


def copied(state: State) -> str:
    return json.dumps(state.to_dict(), default=torch.Tensor.tolist)


@pytest.mark.parametrize("estimator", LEARNING, ids=str)
def test_first_call_and_every_other_use_the_past_only(estimator: Estimator) -> None:
    """The same past gives the same estimate, whatever is learned from that call."""
    problem = PROBLEM["network"]
    running = estimator.start(problem.policy().layout)
    for seed in range(20):
        estimate(running, problem, seed)
    known = running.state
    one = estimate(running, problem, seed=20)
    assert copied(running.state) != copied(known)
    running.state = known
    assert torch.equal(estimate(running, problem, seed=20), one)


@pytest.mark.parametrize("estimator", LEARNING, ids=str)
def test_a_call_leaves_the_state_it_was_given_as_it_is(estimator: Estimator) -> None:
    problem = PROBLEM["network"]
    running = estimator.start(problem.policy().layout)
    for seed in range(5):
        known, before = running.state, copied(running.state)
        estimate(running, problem, seed)
        assert copied(known) == before
        assert copied(running.state) != before


@pytest.mark.parametrize("estimator", LEARNING, ids=str)
def test_a_call_of_the_estimator_itself_is_a_first_call(estimator: Estimator) -> None:
    problem = PROBLEM["hinge"]
    layout = problem.policy().layout
    first = estimate(estimator.start(layout), problem, seed=3)
    for _ in range(3):
        assert torch.equal(estimate(estimator, problem, seed=3), first)


@pytest.mark.parametrize("estimator", LEARNING, ids=str)
def test_continues_from_a_state_that_went_through_a_file(estimator: Estimator) -> None:
    problem = PROBLEM["hinge"]
    layout = problem.policy().layout
    whole, resumed = estimator.start(layout), estimator.start(layout)
    for seed in range(3):
        estimate(whole, problem, seed)
    file = io.BytesIO()
    torch.save(whole.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for seed in range(3, 6):
        last = estimate(whole, problem, seed)
        assert torch.equal(estimate(resumed, problem, seed), last)
    fresh = estimator.start(layout)
    assert not torch.equal(estimate(fresh, problem, seed=5), last)


@pytest.mark.parametrize("estimator", LEARNING, ids=str)
def test_a_fresh_state_can_be_saved_and_loaded(estimator: Estimator) -> None:
    layout = PROBLEMS[0].policy().layout
    running = estimator.start(layout)
    running.load_state_dict(estimator.start(layout).state_dict())
    assert estimate(running, PROBLEMS[0], seed=0).isfinite().all()


# As checkpoints have them whose search was still warming up, before the layout gave the shapes.
SHAPELESS = (
    {"weight": 0.0, "products": [], "squares": []},
    {"averages": [0.0, 0.0, 0.0, 0.0], "parameters": [], "optimiser": {}},
)


@pytest.mark.parametrize(
    ("estimator", "saved"), [(LEARNING[1], SHAPELESS[0]), (LEARNING[0], SHAPELESS[1])], ids=str
)
def test_a_state_from_before_any_call_is_a_fresh_one(
    estimator: Estimator, saved: dict[str, Any]
) -> None:
    problem = PROBLEM["hinge"]
    running, fresh = (estimator.start(problem.policy().layout) for _ in range(2))
    running.load_state_dict(saved)
    assert copied(running.state) == copied(fresh.state)


@pytest.mark.parametrize("estimator", LEARNING, ids=str)
def test_a_state_of_other_choices_is_refused(estimator: Estimator) -> None:
    one, other = PROBLEM["hinge"], PROBLEM["network"]
    running = estimator.start(one.policy().layout)
    estimate(running, one, seed=0)
    with pytest.raises(ValueError, match="of other choices"):
        estimator.start(other.policy().layout).load_state_dict(running.state_dict())


def test_the_control_variate_takes_the_steps_of_one_adam_that_goes_on() -> None:
    """One optimiser over all steps, on parameters changed in place, is the oracle."""
    generator = torch.Generator().manual_seed(0)
    variate = QuadraticControlVariate.zero(Layout({"a": "xy", "b": "xyz"}, "space"))
    oracle = [parameter.detach().clone().requires_grad_() for parameter in variate.parameters]
    adam = torch.optim.Adam(oracle, lr=0.03)
    for step in range(5):
        draws = [torch.rand(4, 1, k, generator=generator, dtype=torch.float64) for k in (2, 3)]
        targets = [torch.randn(4, 1, k, generator=generator, dtype=torch.float64) for k in (2, 3)]
        costs = torch.randn(4, generator=generator, dtype=torch.float64)
        deviation, mean = variate.deviation, variate.mean.value
        if step:
            flat = torch.cat([draw.flatten(1) for draw in draws], 1)
            form = oracle[0] + flat @ oracle[1] + torch.einsum("gi,ij,gj->g", flat, oracle[2], flat)
            control = mean + deviation * form
            squares = sum((t - control[:, None, None]).square().sum((1, 2)) for t in targets)
            adam.zero_grad()
            (squares.mean() / deviation**2).backward()
            adam.step()
        control = variate(tuple(draws))[:, None, None]
        estimates = tuple(target - control for target in targets)
        variate = variate.after(estimates, costs, lr=0.03, decay=0.9)
        for found, expected in zip(variate.parameters, oracle, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert all(parameter.abs().max() > 0 for parameter in variate.parameters)


@pytest.mark.parametrize("name", ["soft xor", "quadratic form", "network"])
def test_gradients_in_logits_equal_those_by_autograd(name: str) -> None:
    policy = PROBLEM[name].policy(torch.float64)
    log_p = policy.log_probabilities()
    generator = torch.Generator().manual_seed(0)
    given = [
        torch.randn(5, *group.shape, generator=generator, dtype=torch.float64) for group in log_p
    ]
    found = in_logits(policy, tuple(given))
    as_loss(log_p, tuple(given)).backward()
    expected = policy.layout.stack({n: logits.grad for n, logits in policy.logits.items()})
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.mean(0), other)


def test_copies_have_gradients_of_their_own() -> None:
    policy = PROBLEM["soft xor"].policy()
    own = copies(policy.log_probabilities(), 3)
    found = torch.autograd.grad((own[0] * torch.arange(3.0)[:, None, None]).sum(), own)
    assert found[0][:, 0, 0].tolist() == [0.0, 1.0, 2.0]


def test_leave_one_out_equals_its_definition() -> None:
    problem, seen = PROBLEM["quadratic form"], []
    policy = problem.policy(torch.float64)
    loss = Rebar(leave_one_out=True, eta=0.7)(
        policy,
        lambda sample: seen.append(sample) or problem.cost(sample),
        num_samples=5,
        generator=torch.Generator().manual_seed(1),
    )
    hard, relaxed = seen
    control = problem.cost(relaxed).detach()
    residual = problem.cost(hard) - 0.7 * control
    log_p = policy.log_prob(hard).detach()
    expected = sum(
        (residual[g] - residual[torch.arange(5) != g].mean()) * log_p[g] + 0.7 * control[g]
        for g in range(5)
    )
    assert loss.item() == pytest.approx(float(expected) / 5)


class LearnsFirst(Rebar):
    """Fits its coefficient to the call that it is used in."""

    def _with_learned_eta(
        self,
        policy: Policy,
        costs: tuple[Tensor, Tensor],
        picked: Groups,
        paths: Groups,
        history: EtaHistory,
    ) -> tuple[Tensor, EtaHistory]:
        _, learned = super()._with_learned_eta(policy, costs, picked, paths, history)
        return super()._with_learned_eta(policy, costs, picked, paths, learned)


class ScoresAnotherDraw(Relax):
    """Scores an architecture other than the one that its control variate saw."""

    def step(
        self,
        policy: Policy,
        cost: Cost,
        state: Any,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Any]:
        other = draw_hard(policy, num_samples, generator)
        return super().step(
            policy, lambda _: cost(other), state, num_samples=num_samples, generator=generator
        )


@pytest.mark.parametrize(
    "mutant",
    [LearnsFirst(learn_eta=True, eta_decay=0.0), ScoresAnotherDraw()],
    ids=["eta", "relax"],
)
def test_the_agreement_test_finds_planted_bias(mutant: Estimator) -> None:
    found = measure(mutant, PROBLEM["soft xor"], num_estimates=800, num_samples=2, seed=2)
    assert found.bias_in_standard_errors.abs().max() > 4


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Relax(lr=0.0), "lr is 0.0"),
        (lambda: Relax(decay=1.0), "decay is 1.0"),
        (lambda: Rebar(eta_decay=-0.1), "eta_decay is -0.1"),
        (
            lambda: Rebar(leave_one_out=True)(PROBLEMS[0].policy(), PROBLEMS[0].cost),
            "num_samples is 1; it needs 2",
        ),
    ],
)
def test_refuses_impossible_options(build: Callable[[], object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build()


@pytest.mark.parametrize("scale", [50.0, 1000.0])
@pytest.mark.parametrize("estimator", LEARNING, ids=str)
def test_learning_stays_finite_at_nearly_decided_policies(
    estimator: Estimator, scale: float
) -> None:
    problem = dataclasses.replace(
        PROBLEM["quadratic form"],
        logits=((scale, -scale, 0.0), (-scale, scale, scale)),
        softening=0.0,
    )
    found = measure(estimator, problem, num_estimates=50, num_samples=4, seed=0)
    assert found.estimates.isfinite().all()
