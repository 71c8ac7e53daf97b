"""The Gumbel-Softmax estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from unas.architecture.policy import Policy
from unas.compute.shapes import Scalar
from unas.estimators._gumbel import check_temperature, draw_relaxed
from unas.estimators.base import Cost, Estimator


@dataclass(frozen=True)
class GumbelSoftmax(Estimator):
    """∇cost(ζ) of a relaxed sample ζ, biased (Jang et al. 2017, Maddison et al. 2017).

    Args:
        temperature: τ; smaller is less biased and noisier.
    """

    is_unbiased: ClassVar[bool] = False
    needs_cost_gradient: ClassVar[bool] = True

    temperature: float = 0.4

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def __call__(
        self,
        policy: Policy,
        cost: Cost,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> Scalar:
        """See `Estimator`."""
        return cost(draw_relaxed(policy, num_samples, self.temperature, generator)).mean()
