"""The agreement test finds estimators that are wrong in one term."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from unas.architecture.policy import Policy
from unas.estimators import Cost, Estimator, draw_hard, rebar
from unas.estimators._gumbel import Groups
from unas.estimators.reinforce import Reinforce
from unas.lab.gradients import measure
from unas.lab.problems import PROBLEMS

PROBLEM = {problem.name: problem for problem in PROBLEMS}


class ScoresAnotherDraw(Reinforce):
    """Scores an architecture that is not the one whose cost was taken."""

    def step(
        self,
        policy: Policy,
        cost: Cost,
        state: Any,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Any]:
        costs = cost(draw_hard(policy, num_samples, generator))
        scored = draw_hard(policy, num_samples, generator)
        return (costs * policy.log_prob(scored)).mean(), state


@dataclass(frozen=True)
class BaselineWithOwnCost(Reinforce):
    """Takes the mean over the call, own cost included, as the baseline: wrong by the factor (G −
    1)/G.
    """

    def step(
        self,
        policy: Policy,
        cost: Cost,
        state: Any,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Any]:
        sample = draw_hard(policy, num_samples, generator)
        costs = cost(sample)
        return ((costs - costs.mean()) * policy.log_prob(sample)).mean(), state


class ForgetsSoftening(Reinforce):
    """Draws from p but scores with the unsoftened distribution."""

    def step(
        self,
        policy: Policy,
        cost: Cost,
        state: Any,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Any]:
        sample = draw_hard(policy, num_samples, generator)
        scores = sum(
            (sample[name] * logits.log_softmax(-1)).sum(1) for name, logits in policy.logits.items()
        )
        return (cost(sample) * scores).mean(), state


@pytest.mark.parametrize(
    ("mutant", "problem", "num_samples"),
    [
        (ScoresAnotherDraw(), "network", 512),
        (ForgetsSoftening(), "hinge", 512),
        (BaselineWithOwnCost(), "soft xor", 2),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Reinforce) else str(value),
)
def test_a_wrong_estimator_is_found(mutant: Estimator, problem: str, num_samples: int) -> None:
    seed, num_estimates = (1, 100) if num_samples > 2 else (2, 800)
    found = measure(
        mutant, PROBLEM[problem], num_estimates=num_estimates, num_samples=num_samples, seed=seed
    )
    assert found.bias_in_standard_errors.abs().max() > 4


@pytest.mark.parametrize("factor", [0.0, -1.0, 0.5], ids=["drops", "flips", "halves"])
def test_a_wrong_path_of_the_conditional_sample_is_found(
    factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(relaxed: Groups, conditioned: Groups) -> Groups:
        pairs = zip(relaxed, conditioned, strict=True)
        return tuple(z - factor * (c - c.detach()) for z, c in pairs)

    monkeypatch.setattr(rebar, "minus_path_of", wrong)
    found = measure(rebar.Rebar(), PROBLEM["network"], num_estimates=100, num_samples=512, seed=1)
    assert found.bias_in_standard_errors.abs().max() > 4
