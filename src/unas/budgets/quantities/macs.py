"""Multiply-adds of convolutions and matrix products."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from unas.budgets.quantities.base import WEIGHT, CountedQuantity

if TYPE_CHECKING:
    from torch import nn

    from unas.budgets.budget import Budget
    from unas.budgets.onnx_file import OnnxFile
    from unas.objectives import CostTerm


class MacsQuantity(CountedQuantity):
    """Multiply-adds of convolutions and matrix products, for one image."""

    name: ClassVar[str] = "macs"
    label: ClassVar[str] = "multiply-adds"
    example: ClassVar[str] = "600M"

    def count(self, network: nn.Module, image_shape: tuple[int, int, int]) -> float:
        """See `CountedQuantity`."""
        from unas.graphs.size import count_macs

        return count_macs(network, image_shape)

    def count_file(self, file: OnnxFile) -> float:
        """See `CountedQuantity`."""
        return file.size.macs

    def term(self, budget: Budget) -> CostTerm:
        """See `Quantity`."""
        from unas.objectives.macs import MacsTerm

        return MacsTerm(weight=WEIGHT, limit=self.aim * budget.limit)
