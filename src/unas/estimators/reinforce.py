"""REINFORCE with a moving-average baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unas.architecture.policy import Layout, Policy
from unas.common.errors import UserError
from unas.estimators._gumbel import draw_hard
from unas.estimators._moving_average import MovingAverage
from unas.estimators.base import Cost, LearningEstimator


@dataclass(frozen=True)
class Reinforce(LearningEstimator):
    """(cost(z) − b)·∇log p(z), Williams 1992, with an average b of earlier costs as the baseline.

    The costs of the call itself are not in b, so it adds no bias.

    Args:
        decay: how much of its history the baseline keeps at each call; the published one keeps 0.1
            (docs/deviations.md).
    """

    is_unbiased: ClassVar[bool] = True
    needs_cost_gradient: ClassVar[bool] = False

    decay: float = 0.9

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise UserError(f"decay is {self.decay}; it must be in [0, 1)")

    def init(self, layout: Layout) -> MovingAverage:  # noqa: ARG002  one number, whatever the choices
        """See `Estimator`."""
        return MovingAverage()

    def step(
        self,
        policy: Policy,
        cost: Cost,
        state: MovingAverage,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, MovingAverage]:
        """See `Estimator`."""
        sample = draw_hard(policy, num_samples, generator)
        with torch.no_grad():
            costs = cost(sample).to("cpu")
        loss = ((costs - state.value) * policy.log_prob(sample)).mean()
        return loss, state.after(float(costs.mean()), self.decay)
