"""What relax and rebar learn between calls: less variance, no bias, and all of it in their state."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

import pytest
import torch

from unas import estimators
from unas.architecture.policy import Policy
from unas.common.errors import UserError
from unas.estimators import Cost, Estimator
from unas.estimators._gumbel import draw_hard
from unas.estimators._learned_eta import LearnedEta
from unas.estimators._per_sample import as_loss, copies, in_logits
from unas.estimators.rebar import Rebar
from unas.estimators.relax import Relax
from unas.lab.gradients import gradient, measure
from unas.lab.problems import PROBLEMS, Problem

PROBLEM = {problem.name: problem for problem in PROBLEMS}
LEARNING = [Relax(), Rebar(learn_eta=True), Rebar(leave_one_out=True, learn_eta=True)]


def variance(estimator: Estimator, problem: Problem, *, after: int = 0) -> float:
    if after:
        measure(estimator, problem, num_estimates=after, num_samples=16, seed=7)
    return measure(estimator, problem, num_estimates=200, num_samples=16, seed=1).variance


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
    eta = LearnedEta(start=1.0, decay=0.0)
    log_p = (torch.zeros(2, 3),)
    assert eta.values(log_p)[0].tolist() == [1.0, 1.0]
    eta.learn((a,), (b,))
    x, y = b.flatten(2).permute(1, 0, 2).flatten(1), a.permute(1, 0, 2).flatten(1)
    expected = [float(torch.linalg.lstsq(-x[i][:, None], y[i][:, None]).solution) for i in range(2)]
    assert eta.values(log_p)[0].tolist() == pytest.approx(expected)


def test_a_slow_average_moves_eta_slowly_from_its_start() -> None:
    eta, log_p = LearnedEta(start=1.0, decay=0.9), (torch.zeros(1, 2),)
    eta.values(log_p)
    eta.learn((torch.ones(1, 1, 2),), (-torch.ones(1, 1, 2) / 3,))  # the best η is 3
    assert float(eta.values(log_p)[0]) == pytest.approx(0.1 * 3 + 0.9 * 1)


@pytest.mark.parametrize("estimator", LEARNING, ids=str)
def test_first_call_and_every_other_use_the_past_only(estimator: Estimator) -> None:
    """The estimate of a call must not depend on a parameter learned from it: the same past, the same estimate."""
    problem = PROBLEM["network"]
    first = dataclasses.replace(estimator)
    measure(first, problem, num_estimates=20, num_samples=4, seed=3)
    second = dataclasses.replace(estimator)
    second.load_state_dict(first.state_dict())
    learned = first.state_dict()
    one = gradient(
        first, problem, problem.policy(), num_samples=4, generator=torch.Generator().manual_seed(9)
    )
    two = gradient(
        second, problem, problem.policy(), num_samples=4, generator=torch.Generator().manual_seed(9)
    )
    assert torch.equal(one, two)
    assert str(first.state_dict()) != str(learned)


@pytest.mark.parametrize("estimator", LEARNING, ids=str)
def test_continues_from_a_state_that_went_through_a_file(estimator: Estimator) -> None:
    problem = PROBLEM["hinge"]
    whole, resumed = dataclasses.replace(estimator), dataclasses.replace(estimator)
    gradients = []
    for seed in range(6):
        if seed == 3:
            file = io.BytesIO()
            torch.save(whole.state_dict(), file)
            file.seek(0)
            resumed.load_state_dict(torch.load(file, weights_only=True))
        for one in (whole,) if seed < 3 else (whole, resumed):
            generator = torch.Generator().manual_seed(seed)
            gradients.append(
                gradient(one, problem, problem.policy(), num_samples=4, generator=generator)
            )
    assert all(torch.equal(gradients[i], gradients[i + 1]) for i in range(3, len(gradients), 2))
    fresh = dataclasses.replace(whole)
    last = gradient(
        fresh, problem, problem.policy(), num_samples=4, generator=torch.Generator().manual_seed(5)
    )
    assert not torch.equal(last, gradients[-1])


def test_a_fresh_state_can_be_saved_and_loaded() -> None:
    estimator = Relax()
    estimator.load_state_dict(Relax().state_dict())
    assert gradient(estimator, PROBLEMS[0], PROBLEMS[0].policy(), num_samples=2).isfinite().all()


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
        costs: torch.Tensor,
        picked: tuple[torch.Tensor, ...],
        path: tuple[torch.Tensor, ...],
    ) -> torch.Tensor:
        super()._with_learned_eta(policy, costs, picked, path)
        return super()._with_learned_eta(policy, costs, picked, path)


class ScoresAnotherDraw(Relax):
    """Scores an architecture other than the one that its control variate saw."""

    def __call__(
        self,
        policy: Policy,
        cost: Cost,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        other = draw_hard(policy, num_samples, generator)
        return super().__call__(
            policy, lambda _: cost(other), num_samples=num_samples, generator=generator
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
    found = measure(
        dataclasses.replace(estimator), problem, num_estimates=50, num_samples=4, seed=0
    )
    assert found.estimates.isfinite().all()
