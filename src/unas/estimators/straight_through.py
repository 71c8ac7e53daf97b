"""The straight-through Gumbel-Softmax estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from unas.architecture.policy import Policy
from unas.compute.shapes import Scalar
from unas.estimators._gumbel import (
    check_temperature,
    gumbel_noise,
    make_sample,
    one_hot_argmax,
    perturbed,
    relax,
)
from unas.estimators.base import Cost, Estimator


@dataclass(frozen=True)
class StraightThrough(Estimator):
    """The cost of the hard sample, its gradient passed on to the relaxed one (Jang et al. 2017).

    Args:
        temperature: τ of the relaxed sample.
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
        noisy = perturbed(policy.log_probabilities(), gumbel_noise(policy, num_samples, generator))
        pairs = zip(one_hot_argmax(noisy), relax(noisy, self.temperature), strict=True)
        weights = tuple(hard + (soft - soft.detach()) for hard, soft in pairs)
        # Not `is_hard`, although the values are: the gradient needs the outcome of every option.
        return cost(make_sample(policy, weights, is_hard=False)).mean()
