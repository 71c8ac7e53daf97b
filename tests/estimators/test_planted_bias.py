"""The agreement test finds estimators that are wrong in one term."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from unas.architecture.policy import Policy
from unas.estimators import Cost, Estimator
from unas.estimators._gumbel import draw_hard
from unas.estimators.rebar import Rebar
from unas.estimators.reinforce import Reinforce
from unas.lab.gradients import measure
from unas.lab.problems import PROBLEMS

PROBLEM = {problem.name: problem for problem in PROBLEMS}


class DropsConditionalTerm(Rebar):
    @staticmethod
    def _minus_conditional(
        relaxed: tuple[torch.Tensor, ...],
        given_z: tuple[torch.Tensor, ...],  # noqa: ARG004
    ) -> tuple[torch.Tensor, ...]:
        return relaxed


class FlipsConditionalTerm(Rebar):
    @staticmethod
    def _minus_conditional(
        relaxed: tuple[torch.Tensor, ...], given_z: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, ...]:
        return tuple(z + (c - c.detach()) for z, c in zip(relaxed, given_z, strict=True))


class HalvesConditionalTerm(Rebar):
    @staticmethod
    def _minus_conditional(
        relaxed: tuple[torch.Tensor, ...], given_z: tuple[torch.Tensor, ...]
    ) -> tuple[torch.Tensor, ...]:
        return tuple(z - 0.5 * (c - c.detach()) for z, c in zip(relaxed, given_z, strict=True))


class ScoresAnotherDraw(Reinforce):
    """Scores an architecture that is not the one whose cost was taken."""

    def __call__(
        self,
        policy: Policy,
        cost: Cost,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        costs = cost(draw_hard(policy, num_samples, generator))
        return (costs * policy.log_prob(draw_hard(policy, num_samples, generator))).mean()


@dataclass(frozen=True)
class BaselineWithOwnCost(Reinforce):
    """Takes the mean over the call, own cost included, as the baseline: wrong by the factor (G − 1)/G."""

    def __call__(
        self,
        policy: Policy,
        cost: Cost,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        sample = draw_hard(policy, num_samples, generator)
        costs = cost(sample)
        return ((costs - costs.mean()) * policy.log_prob(sample)).mean()


class ForgetsSoftening(Reinforce):
    """Draws from p but scores with the unsoftened distribution."""

    def __call__(
        self,
        policy: Policy,
        cost: Cost,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        sample = draw_hard(policy, num_samples, generator)
        scores = sum(
            (sample[name] * logits.log_softmax(-1)).sum(1) for name, logits in policy.logits.items()
        )
        return (cost(sample) * scores).mean()


@pytest.mark.parametrize(
    ("mutant", "problem", "num_samples"),
    [
        (DropsConditionalTerm(), "network", 512),
        (FlipsConditionalTerm(), "network", 512),
        (HalvesConditionalTerm(), "network", 512),
        (ScoresAnotherDraw(), "network", 512),
        (ForgetsSoftening(), "hinge", 512),
        (BaselineWithOwnCost(), "soft xor", 2),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Rebar | Reinforce) else str(value),
)
def test_a_wrong_term_is_found(mutant: Estimator, problem: str, num_samples: int) -> None:
    seed, num_estimates = (1, 100) if num_samples > 2 else (2, 800)
    found = measure(
        mutant, PROBLEM[problem], num_estimates=num_estimates, num_samples=num_samples, seed=seed
    )
    assert found.bias_in_standard_errors.abs().max() > 4
