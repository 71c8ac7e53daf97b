"""Every estimator × every problem, against the gradient by enumeration."""

from __future__ import annotations

import functools

import pytest

from unas import estimators
from unas.estimators import Estimator
from unas.estimators.rebar import Rebar
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.lab.gradients import GradientErrors, measure
from unas.lab.problems import PROBLEMS, Problem

CASES = {name: estimators.get(name)() for name in estimators.names()} | {
    "reinforce_loo, two draws": ReinforceLeaveOneOut(draws=2),
    "rebar, independent noise": Rebar(is_coupled=False),
    "rebar, eta 0.5": Rebar(eta=0.5),
    "rebar, temperature 1": Rebar(temperature=1.0),
    "rebar, leave-one-out": Rebar(leave_one_out=True),
    "rebar, learned eta": Rebar(learn_eta=True, eta_decay=0.9),
    "rebar, leave-one-out, learned eta": Rebar(leave_one_out=True, learn_eta=True, eta_decay=0.9),
    "rebar, independent noise, learned eta": Rebar(is_coupled=False, learn_eta=True, eta_decay=0.9),
}
UNBIASED = [name for name, estimator in CASES.items() if estimator.is_unbiased]
BIASED = [name for name, estimator in CASES.items() if not estimator.is_unbiased]
PROBLEM = {problem.name: problem for problem in PROBLEMS}


@functools.cache
def errors(name: str, problem: Problem) -> GradientErrors:
    return measure(CASES[name], problem, num_estimates=100, num_samples=512, seed=1)


def test_problems_cover_what_the_estimators_promise() -> None:
    options = {len(row) for problem in PROBLEMS for row in problem.logits}
    assert options == set(range(2, 8))
    assert {len(problem.logits) for problem in PROBLEMS} == {1, 2, 3, 4}
    assert {problem.softening for problem in PROBLEMS} == {0.0, 0.08}
    assert len(PROBLEM) == len(PROBLEMS)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
@pytest.mark.parametrize("name", UNBIASED)
def test_unbiased_estimators_agree_with_exact(name: str, problem: Problem) -> None:
    found = errors(name, problem).bias_in_standard_errors.abs()
    assert found.max() < 4, found


@pytest.mark.parametrize("name", UNBIASED)
def test_unbiased_estimators_agree_with_exact_on_few_architectures_a_call(name: str) -> None:
    # A baseline that leaks the architecture's own cost shows only here.
    found = measure(CASES[name], PROBLEM["soft xor"], num_estimates=800, num_samples=2, seed=2)
    assert found.bias_in_standard_errors.abs().max() < 4


@pytest.mark.parametrize("name", BIASED)
def test_estimators_marked_biased_are_biased(name: str) -> None:
    assert errors(name, PROBLEM["toy"]).bias_in_standard_errors.abs().max() > 4


def test_rebar_has_less_variance_than_reinforce() -> None:
    # Not for want of a baseline: it averages calls of 512 architectures, so it is next to
    # noiseless.
    assert (
        errors("rebar", PROBLEM["product"]).variance
        < 0.9 * errors("reinforce", PROBLEM["product"]).variance
    )


def test_coupled_and_independent_noise_agree_in_expectation() -> None:
    coupled, independent = (
        errors(n, PROBLEM["network"]) for n in ("rebar", "rebar, independent noise")
    )
    variance = coupled.estimates.var(0) + independent.estimates.var(0)
    difference = coupled.estimates.mean(0) - independent.estimates.mean(0)
    assert (difference.abs() < 4 * (variance / len(coupled.estimates)).sqrt()).all()


def test_every_estimator_says_whether_it_is_unbiased() -> None:
    assert all(
        isinstance(case, Estimator) and isinstance(case.is_unbiased, bool)
        for case in CASES.values()
    )
