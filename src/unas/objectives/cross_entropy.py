"""Training loss."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from unas.objectives.base import Evaluation, Objective


@dataclass(frozen=True)
class CrossEntropy(Objective):
    """Mean cross-entropy of an architecture's training images."""

    def __call__(self, evaluation: Evaluation) -> Tensor:
        """Return the term for each architecture, [G]."""
        return evaluation.by_architecture(evaluation.train_losses).mean(1)
