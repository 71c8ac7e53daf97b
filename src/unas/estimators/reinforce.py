"""REINFORCE with a moving-average baseline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from unas.architecture.policy import Policy
from unas.common.errors import UserError
from unas.estimators._gumbel import draw_hard
from unas.estimators.base import Cost, Estimator


@dataclass
class MovingAverage:
    """An exponential average that is right from its first value on (bias-corrected as in Adam)."""

    total: float = 0.0
    weight: float = 0.0

    @property
    def value(self) -> float:
        """The average so far, 0 before the first value."""
        return self.total / self.weight if self.weight else 0.0

    def update(self, value: float, decay: float) -> None:
        """Take in `value`, keeping `decay` of the history."""
        self.total = decay * self.total + (1 - decay) * value
        self.weight = decay * self.weight + (1 - decay)


@dataclass(frozen=True)
class Reinforce(Estimator):
    """(cost(z) − b)·∇log p(z), Williams 1992; the baseline b comes from earlier calls only, so it adds no bias.

    Args:
        decay: how much of its history the baseline keeps at each call.
    """

    is_unbiased: ClassVar[bool] = True
    needs_cost_gradient: ClassVar[bool] = False

    decay: float = 0.9
    _baseline: MovingAverage = field(
        default_factory=MovingAverage, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise UserError(f"decay is {self.decay}; it must be in [0, 1) (UNAS: 0.9)")

    def __call__(
        self,
        policy: Policy,
        cost: Cost,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """See `Estimator`."""
        sample = draw_hard(policy, num_samples, generator)
        with torch.no_grad():
            costs = cost(sample).to("cpu")
        baseline = self._baseline.value
        self._baseline.update(float(costs.mean()), self.decay)
        return ((costs - baseline) * policy.log_prob(sample)).mean()

    def state_dict(self) -> dict[str, Any]:
        """Return the baseline."""
        return {"total": self._baseline.total, "weight": self._baseline.weight}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the baseline."""
        self._baseline.total, self._baseline.weight = state["total"], state["weight"]
