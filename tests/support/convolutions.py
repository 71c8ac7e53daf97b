"""A quantity from outside the package, whole in one file: how many convolutions a network has."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from unas.budgets.onnx_file import OnnxFile
from unas.budgets.quantities import CountedQuantity
from unas.graphs.onnx_size import load_onnx


class Convolutions(CountedQuantity):
    """Convolutions, each of which starts a kernel of its own."""

    name: ClassVar[str] = "convolutions"
    label: ClassVar[str] = "convolutions"
    example: ClassVar[str] = "12"

    def count(
        self,
        network: nn.Module,
        image_shape: tuple[int, int, int],  # noqa: ARG002  the same for every image
    ) -> float:
        """See `CountedQuantity`."""
        return sum(isinstance(module, nn.Conv2d) for module in network.modules())

    def count_file(self, file: OnnxFile) -> float:
        """See `CountedQuantity`."""
        kinds = [node.op_type for node in load_onnx(file.path).graph.node]
        return kinds.count("Conv")
