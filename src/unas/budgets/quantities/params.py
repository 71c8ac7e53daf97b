"""Numbers in the network's weights, without an auxiliary head."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from unas.budgets.quantities.base import WEIGHT, CountedQuantity

if TYPE_CHECKING:
    from torch import nn

    from unas.budgets.budget import Budget
    from unas.budgets.onnx_file import OnnxFile
    from unas.objectives import CostTerm


class ParamsQuantity(CountedQuantity):
    """Numbers in the network's weights, without an auxiliary head."""

    name: ClassVar[str] = "params"
    label: ClassVar[str] = "parameters"
    example: ClassVar[str] = "4M"

    def count(
        self,
        network: nn.Module,
        image_shape: tuple[int, int, int],  # noqa: ARG002  weights are the same for every image
    ) -> float:
        """See `CountedQuantity`."""
        from unas.graphs.size import count_parameters

        return count_parameters(network)

    def count_file(self, file: OnnxFile) -> float:
        """See `CountedQuantity`."""
        return file.size.parameters

    def term(self, budget: Budget) -> CostTerm:
        """See `Quantity`."""
        from unas.objectives.params import ParamsTerm

        return ParamsTerm(weight=WEIGHT, limit=self.aim * budget.limit)
