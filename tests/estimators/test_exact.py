"""The oracle itself, against finite differences and closed forms that share no code with it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from unas.common.errors import UserError
from unas.estimators.exact import Exact
from unas.lab.gradients import gradient
from unas.lab.problems import PROBLEMS, Problem

LINEAR_COST = (3.0, -1.0, 0.5, 2.0)


def expectation(problem: Problem, logits: list[np.ndarray]) -> float:
    """Sum p(z)·cost(z) with loops and numpy only."""
    probabilities = []
    for row in logits:
        softmax = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        probabilities.append((softmax + problem.softening) / (softmax + problem.softening).sum())
    total = 0.0
    for picks in itertools.product(*(range(len(row)) for row in logits)):
        weights = [
            torch.eye(len(row), dtype=torch.float64)[[k]]
            for row, k in zip(logits, picks, strict=True)
        ]
        total += (
            math.prod(p[k] for p, k in zip(probabilities, picks, strict=True))
            * problem.function(weights).item()
        )
    return total


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_equals_central_differences(problem: Problem) -> None:
    found = gradient(Exact(), problem, problem.policy(torch.float64), num_samples=64).numpy()
    step, expected = 1e-5, []
    for c, row in enumerate(problem.logits):
        for k in range(len(row)):
            values = []
            for sign in (1, -1):
                logits = [np.array(other) for other in problem.logits]
                logits[c][k] += sign * step
                values.append(expectation(problem, logits))
            expected.append((values[0] - values[1]) / (2 * step))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("softening", [0.0, 0.08])
def test_equals_the_closed_form_of_a_linear_cost(softening: float) -> None:
    costs = np.array(LINEAR_COST)
    logits = (0.7, -1.2, 2.0, 0.1)
    problem = Problem(
        "linear",
        (logits,),
        lambda weights: weights[0] @ torch.tensor(LINEAR_COST).double(),
        softening,
    )
    found = gradient(Exact(), problem, problem.policy(torch.float64), num_samples=4).numpy()
    softmax = np.exp(logits) / np.exp(logits).sum()
    # p = (s + ε)/(1 + Kε), so the gradient is that of the softmax s, s_k (c_k − Σ s c), divided by
    # 1 + Kε.
    expected = softmax * (costs - softmax @ costs) / (1 + len(logits) * softening)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_does_not_depend_on_how_many_architectures_the_cost_is_given_at_once() -> None:
    problem = PROBLEMS[-1]
    one, seven = (gradient(Exact(), problem, problem.policy(), num_samples=n) for n in (1, 7))
    torch.testing.assert_close(one, seven, rtol=1e-5, atol=1e-7)


def test_returns_the_expectation() -> None:
    problem = PROBLEMS[1]
    loss = Exact()(problem.policy(torch.float64), problem.cost, num_samples=9)
    assert loss.item() == pytest.approx(
        expectation(problem, [np.array(row) for row in problem.logits]), rel=1e-6
    )


def test_refuses_more_architectures_than_its_limit() -> None:
    problem = PROBLEMS[-1]  # 2·3·5·7 = 210
    Exact(limit=210)(problem.policy(), problem.cost, num_samples=210)
    with pytest.raises(UserError, match="210 architectures are more than limit 209"):
        Exact(limit=209)(problem.policy(), problem.cost)
