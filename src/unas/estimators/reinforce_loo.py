"""REINFORCE with a leave-one-out baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unas.errors import UserError
from unas.estimators._gumbel import draw_hard
from unas.estimators.base import Cost, Estimator
from unas.policy import Policy


@dataclass(frozen=True)
class ReinforceLeaveOneOut(Estimator):
    """G ≥ 2 architectures, each with the mean cost of the others as its baseline (Kool et al. 2019)."""

    is_unbiased: ClassVar[bool] = True
    needs_cost_gradient: ClassVar[bool] = False

    def __call__(
        self, policy: Policy, cost: Cost, *, num_samples: int = 2, generator: torch.Generator | None = None
    ) -> Tensor:
        """See `Estimator`.

        Raises:
            UserError: `num_samples` is 1, so there are no others.
        """
        if num_samples < 2:
            raise UserError(f"reinforce_loo: num_samples is {num_samples}; it needs 2 or more architectures a batch")
        sample = draw_hard(policy, num_samples, generator)
        with torch.no_grad():
            costs = cost(sample).to("cpu")
        # c_g − mean of the others = (c_g − mean of all)·G/(G − 1)
        advantage = (costs - costs.mean()) * (num_samples / (num_samples - 1))
        return (advantage * policy.log_prob(sample)).mean()
