"""The parameters of an ONNX graph: the numbers in its weights, whatever their type."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unas.common.errors import UserError
from unas.graphs.onnx_macs import is_judged
from unas.graphs.onnx_values import PLACES, SIZES, name_of, subgraphs_of

if TYPE_CHECKING:
    import onnx

_STATISTICS = {"BatchNormalization": (3, 4)}  # its running mean and variance


def count_onnx_parameters(graph: onnx.GraphProto) -> int:
    """Return how many numbers the weights of a graph hold: its initializers and Constant nodes.

    Left out are a BatchNorm's running statistics, numbers that only say where or how large
    something is (the shape of a Reshape, the indices of a Gather), truth values, and numbers
    without an axis, which belong to a formula.

    Raises:
        UserError: an operator may hold weights in a form of its own.
    """
    for node in graph.node:
        _require_plain_weights(node)
    total = 0
    no_weights = _no_weights(graph)
    for name, size in _sizes(graph):
        if name not in no_weights:
            total += size
    for node in graph.node:
        total += sum(count_onnx_parameters(subgraph) for subgraph in subgraphs_of(node))
    return total


def _require_plain_weights(node: onnx.NodeProto) -> None:
    """Refuse an operator that may pack weights into one number, or have them as attributes."""
    has_floats = any(attribute.floats for attribute in node.attribute)
    is_of_onnx = name_of(node) == node.op_type
    if is_judged(node) or (is_of_onnx and not has_floats):
        return
    raise UserError(
        f"{name_of(node)} is an operator that may hold weights in a form of its own; write the "
        "file without it, or ask for no parameters"
    )


def _sizes(graph: onnx.GraphProto) -> Iterator[tuple[str, int]]:
    """Yield the name of each initializer and Constant, and how many numbers it holds."""
    for tensor in graph.initializer:
        yield tensor.name, _numbers(tensor)
    for node in graph.node:
        if node.op_type != "Constant":
            continue
        if len(node.attribute) != 1:
            raise UserError(f"{node.output[0]!r} of Constant has {len(node.attribute)} values")
        attribute = node.attribute[0]
        if attribute.name == "value":
            yield node.output[0], _numbers(attribute.t)
        else:
            yield node.output[0], len(attribute.floats) + len(attribute.ints)


def _numbers(tensor: onnx.TensorProto) -> int:
    is_no_number = tensor.data_type in {tensor.BOOL, tensor.STRING}
    return 0 if is_no_number or not tensor.dims else math.prod(tensor.dims)


def _no_weights(graph: onnx.GraphProto) -> set[str]:
    """Return the values that nothing uses but as statistics, places or sizes."""
    used: set[str] = set()
    weighty = {value.name for value in graph.output}  # what a result is computed of
    for node in reversed(graph.node):
        if any(name in weighty or name not in used for name in node.output):
            weighty.update(_weighty_inputs(node))
        used.update(node.input)
        for subgraph in subgraphs_of(node):
            # It may use any value of the graph around it, and for anything.
            weighty.update(name for inner in subgraph.node for name in inner.input)
    return used - weighty


def _weighty_inputs(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the inputs of a node whose numbers go into those of its output."""
    if node.op_type in {"Shape", "Size"}:
        return
    kind = node.op_type
    others = (*_STATISTICS.get(kind, ()), *PLACES.get(kind, ()), *SIZES.get(kind, ()))
    for position, name in enumerate(node.input):
        if position not in others:
            yield name
