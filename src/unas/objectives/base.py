"""What every term of the search objective is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from unas.errors import UserError
from unas.policy import Sample
from unas.spaces import SearchSpace


@dataclass(frozen=True)
class Evaluation:
    """What a sample of G architectures did on a batch of B images; G divides B.

    Args:
        space: the search space.
        sample: the architectures.
        train_losses: cross-entropy of each training image, [B].
        validation_losses: cross-entropy of each validation image, [B]; None unless a term asks for it.
    """

    space: SearchSpace
    sample: Sample
    train_losses: Tensor
    validation_losses: Tensor | None

    def by_architecture(self, losses: Tensor) -> Tensor:
        """Return losses [B] as [G, B/G]."""
        return losses.view(len(self.sample), -1)


@dataclass(frozen=True)
class Objective(ABC):
    """A term of the cost of an architecture, a frozen dataclass of its own options.

    Args:
        weight: what the term is multiplied with.
        warm_up_steps: the weight grows linearly from 0 over the first so many search steps.
    """

    needs_validation: ClassVar[bool] = False

    weight: float = 1.0
    warm_up_steps: int = 0

    def __post_init__(self) -> None:
        if self.warm_up_steps < 0:
            raise UserError(f"warm_up_steps is {self.warm_up_steps}; it must be 0 or more")

    def check(self, space: SearchSpace) -> None:  # noqa: B027  most terms fit every space
        """Refuse a space in which the term means nothing, before a search begins.

        Raises:
            UserError: it does.
        """

    @abstractmethod
    def __call__(self, evaluation: Evaluation) -> Tensor:
        """Return the term for each architecture, [G], before its weight."""

    def weight_at(self, step: int) -> float:
        """Return the weight at a search step, counted from 0."""
        return self.weight * min((step + 1) / self.warm_up_steps, 1.0) if self.warm_up_steps else self.weight
