"""A network as ONNX, operator by operator, in a hundredth of the time of PyTorch's exporter.

ONNX Runtime folds and fuses the graph when it opens it, as it does with the exporter's. An operator
that isn't known here sends the network to the exporter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn

from unas.graphs.onnx import INPUT, OPSET, OUTPUT, cpu_copy, to_onnx
from unas.graphs.onnx_nodes import NODES, GraphBuilder, UnknownOperatorError
from unas.graphs.operators import record

if TYPE_CHECKING:
    import onnx

# What may run beside the image: views of weights, and what a BatchNorm leaves empty. Anything else
# may make something for each image, such as a token, and would make it for a batch of one here.
_HARMLESS = frozenset({"alias", "detach", "empty", "permute", "t", "transpose", "view"})


def quick_onnx(network: nn.Module, image_shape: tuple[int, int, int]) -> onnx.ModelProto:
    """Return the network as an ONNX model for measuring, for any batch size.

    Its input "images" is [batch, C, H, W], its output is "logits".

    Args:
        network: maps images to logits in evaluation mode; it is left as it is.
        image_shape: (C, H, W).
    """
    try:
        return direct_onnx(network, image_shape)
    except UnknownOperatorError:
        return to_onnx(network, image_shape)


def direct_onnx(network: nn.Module, image_shape: tuple[int, int, int]) -> onnx.ModelProto:
    """Return the network as an ONNX model that owes nothing to PyTorch's exporter.

    Args:
        network: maps images to logits in evaluation mode; it is left as it is.
        image_shape: (C, H, W).

    Raises:
        UnknownOperatorError: the network uses an operator that has no translation here.
    """
    import onnx

    recording = record(cpu_copy(network), image_shape)
    for operator in recording.others:
        if operator.name not in _HARMLESS:
            raise UnknownOperatorError(operator.name)
    builder = GraphBuilder(recording.shapes)
    for operator in recording.operators:
        name = str(operator.kind)
        if name not in NODES:
            raise UnknownOperatorError(name)
        NODES[name](builder, operator)
    if len(recording.results) != 1:
        raise UnknownOperatorError("several results")
    (result,) = recording.results
    builder.add("Identity", [builder.name(result)], OUTPUT)
    images = _batch_of_floats(INPUT, image_shape)
    logits = _batch_of_floats(OUTPUT, recording.shapes[result][1:])
    graph = onnx.helper.make_graph(
        builder.nodes, "network", [images], [logits], builder.initializers
    )
    opset = onnx.helper.make_opsetid("", OPSET)
    return onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10)


def _batch_of_floats(name: str, shape: Sequence[int]) -> onnx.ValueInfoProto:
    """Return the description of an input or output [batch, *shape]."""
    import onnx

    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", *shape])
