"""An ONNX graph in the making: names of activations, weights added at their first use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unas.onnx_conversion import INPUT
from unas.operators import Operator, Value

if TYPE_CHECKING:
    import onnx


class UnknownOperatorError(Exception):
    """An operator has no translation here."""


class GraphBuilder:
    """Collects the nodes and the weights of an ONNX graph.

    Args:
        shapes: of each activation.

    Attributes:
        nodes: in order.
        initializers: the weights.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]]) -> None:
        self.shapes = shapes
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._names: dict[int, str] = {0: INPUT}
        self._constants: dict[int, tuple[str, Tensor]] = {}

    def name(self, index: int) -> str:
        """Return what an activation is called now; what changes it in place gives it a new name."""
        return self._names[index]

    def of(self, value: Any) -> str:
        """Return the name of an argument: an activation, a weight or a number."""
        if isinstance(value, Value):
            return self.name(value.index)
        return self.constant(value) if isinstance(value, Tensor) else self.constant(torch.tensor(float(value)))

    def constant(self, tensor: Tensor) -> str:
        """Return the name of a weight, added to the graph at its first use."""
        from onnx import numpy_helper

        if id(tensor) not in self._constants:
            name = f"constant{len(self._constants)}"
            kept = tensor.detach()
            array = (kept.float() if kept.is_floating_point() else kept).contiguous().numpy()
            self.initializers.append(numpy_helper.from_array(array, name))
            self._constants[id(tensor)] = (name, tensor)  # an id is unique as long as its tensor lives
        return self._constants[id(tensor)][0]

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node and return its output's name."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def emit(self, operator: Operator, kind: str, inputs: Sequence[str], **attributes: Any) -> None:
        """Add a node whose output is the operator's first."""
        self._names[operator.outputs[0]] = self.add(kind, inputs, f"value{len(self.nodes)}", **attributes)
