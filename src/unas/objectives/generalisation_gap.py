"""Generalisation gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from unas.common.errors import UserError
from unas.objectives.base import Evaluation, Objective


@dataclass(frozen=True)
class GeneralisationGap(Objective):
    """|validation loss − training loss| of an architecture (UNAS, equation 10).

    Args:
        weight: λ of the paper.
        gap: "instance" takes the absolute difference of the i-th training and the i-th validation
            image before averaging, as the published system does; "group" that of an architecture's
            two means, as its formula says. With one architecture an image they are the same.
    """

    needs_validation: ClassVar[bool] = True

    weight: float = 0.5
    gap: Literal["instance", "group"] = "instance"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.gap not in ("instance", "group"):
            raise UserError(f"gap is {self.gap!r}; it must be instance or group")

    def __call__(self, evaluation: Evaluation) -> Tensor:
        """Return the term for each architecture, [G]."""
        assert evaluation.validation_losses is not None  # noqa: S101 - it was asked for
        difference = evaluation.by_architecture(
            evaluation.validation_losses - evaluation.train_losses
        )
        return difference.abs().mean(1) if self.gap == "instance" else difference.mean(1).abs()
