"""What every gradient estimator is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from unas.architecture.policy import Policy, Sample

Cost = Callable[[Sample], Tensor]


@dataclass(frozen=True)
class Estimator(ABC):
    """An estimate of the gradient of E[cost(z)], z drawn from a policy, in the policy's logits.

    A pure function of the policy, the cost and the noise; what it remembers between calls, if
    anything, is in `state_dict`. `dataclasses.replace(estimator)` is the same estimator with
    nothing remembered.
    """

    is_unbiased: ClassVar[bool]
    needs_cost_gradient: ClassVar[bool]  # whether cost must be differentiable in relaxed weights
    draws_from_policy: ClassVar[bool] = True  # whether the cost's samples are draws from the policy

    @property
    def fewest_samples(self) -> int:
        """The least `num_samples` that a call takes."""
        return 1

    def with_fewest_draws(self) -> Estimator:
        """Return the estimator that asks for as few costs a call as it can, for costs that are dear."""
        return self

    @abstractmethod
    def __call__(
        self,
        policy: Policy,
        cost: Cost,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return a scalar whose `backward()` leaves the gradient estimate on the policy's logits.

        Args:
            policy: the distribution.
            cost: maps a sample of G architectures to their costs [G], or one of m·G, copy after
                copy, to [m·G]: architecture r·G + g is then evaluated on the same images as g.
            num_samples: G, how many architectures a batch of images is shared out to.
            generator: the source of noise, on the CPU.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what the estimator remembers between calls."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027  most remember nothing
        """Continue from what `state_dict` returned."""
