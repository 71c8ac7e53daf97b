"""The peak activation memory of an ONNX graph, as `unas.graphs.memory` defines it."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from unas.graphs.memory import Step, peak_bytes
from unas.graphs.onnx_values import images_of

if TYPE_CHECKING:
    import onnx

    from unas.graphs.onnx_shapes import Extents

_ELEMENTWISE = re.compile(
    "Abs|Add|BatchNormalization|Ceil|Clip|Div|Elu|Erf|Exp|Floor|Gelu|HardSigmoid|HardSwish|"
    "LeakyRelu|Log|Max|Min|Mish|Mul|Neg|PRelu|Pow|Relu|Round|Selu|Sigmoid|Softplus|Sqrt|Sub|Tanh|"
    "ThresholdedRelu"
)
_VIEWS = frozenset({"Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})


def onnx_peak_memory(graph: onnx.GraphProto, extents: Extents) -> int:
    """Return the peak activation memory of a graph, in bytes.

    Args:
        graph: one without control flow.
        extents: those of its values.

    Raises:
        UserError: the shape of an activation can't be found out.
    """
    images = [image.name for image in images_of(graph)]
    indices = {name: index for index, name in enumerate(images)}
    steps = []
    for node in graph.node:
        inputs = tuple(indices[name] for name in node.input if name in indices)
        if inputs:
            outputs = tuple(indices.setdefault(name, len(indices)) for name in node.output if name)
            is_elementwise = _ELEMENTWISE.fullmatch(node.op_type) is not None
            steps.append(Step(inputs, outputs, is_elementwise, node.op_type in _VIEWS))
    results = [indices[value.name] for value in graph.output if value.name in indices]
    used = {index for step in steps for index in step.inputs}
    used.update(results)
    # What nobody reads takes no memory, and its shape needn't be known.
    names = [name for name, index in indices.items() if index in used]
    sizes = [0] * len(indices)
    known = extents.of(names)
    for name in names:
        extent = known[name]
        sizes[indices[name]] = extent.bytes_each * math.prod(extent.shape)
    return peak_bytes(sizes, steps, results, tuple(range(len(images))))
