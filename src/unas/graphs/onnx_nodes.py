"""PyTorch operators as ONNX nodes, and the graph that they are put into."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unas.graphs.onnx import INPUT
from unas.graphs.operators import Operator, Value

if TYPE_CHECKING:
    import onnx


def _plain(kind: str) -> Callable[[GraphBuilder, Operator], None]:
    return lambda graph, operator: graph.emit(operator, kind, [graph.of(operator.arguments[0])])


def _binary(kind: str) -> Callable[[GraphBuilder, Operator], None]:
    def translate(graph: GraphBuilder, operator: Operator) -> None:
        if operator.keywords.get("alpha", 1) != 1:
            raise UnknownOperatorError("alpha")
        graph.emit(operator, kind, [graph.of(value) for value in operator.arguments[:2]])

    return translate


def _filled(operator: Operator, *defaults: Any) -> list[Any]:
    """Return all positional arguments; where the last ones were left out, their `defaults`."""
    given = list(operator.arguments)
    positional = [a for a in operator.kind._schema.arguments if not a.kwarg_only]
    missing = len(positional) - len(given)
    return given + list(defaults)[len(defaults) - missing :] if missing else given


def _pair(value: Sequence[int]) -> list[int]:
    return [int(value[0]), int(value[-1])]


def _pads(value: Sequence[int]) -> list[int]:
    return _pair(value) * 2


def _convolution(graph: GraphBuilder, operator: Operator) -> None:
    images, weight, bias, stride, padding, dilation, transposed, _, groups = operator.arguments
    if transposed or weight.dim() != 4:
        raise UnknownOperatorError("convolution")
    inputs = [graph.of(images), graph.of(weight), *([graph.of(bias)] if bias is not None else [])]
    sizes = {"strides": _pair(stride), "pads": _pads(padding), "dilations": _pair(dilation)}
    graph.emit(operator, "Conv", inputs, kernel_shape=list(weight.shape[2:]), group=groups, **sizes)


def _batch_norm(graph: GraphBuilder, operator: Operator) -> None:
    images, weight, bias, mean, variance = operator.arguments[:5]
    if mean is None:  # statistics of the batch
        raise UnknownOperatorError("batch norm")
    weight = torch.ones_like(mean) if weight is None else weight
    bias = torch.zeros_like(mean) if bias is None else bias
    inputs = [graph.of(value) for value in (images, weight, bias, mean, variance)]
    graph.emit(operator, "BatchNormalization", inputs, epsilon=float(operator.arguments[-1]))


def _evaluated_batch_norm(graph: GraphBuilder, operator: Operator) -> None:
    """Take apart the operator that serves training too: (…, training, momentum, eps)."""
    if operator.arguments[5]:
        raise UnknownOperatorError("batch norm")
    _batch_norm(graph, operator)


def _max_pool(graph: GraphBuilder, operator: Operator) -> None:
    images, kernel, stride, padding, dilation, ceil = _filled(operator, [], [0, 0], [1, 1], False)
    sizes = {
        "strides": _pair(stride or kernel),
        "pads": _pads(padding),
        "dilations": _pair(dilation),
    }
    graph.emit(
        operator,
        "MaxPool",
        [graph.of(images)],
        kernel_shape=_pair(kernel),
        ceil_mode=int(ceil),
        **sizes,
    )


def _average_pool(graph: GraphBuilder, operator: Operator) -> None:
    images, kernel, stride, padding, ceil, includes_pad, divisor = _filled(
        operator, [], [0, 0], False, True, None
    )
    if divisor is not None:
        raise UnknownOperatorError("divisor")
    sizes = {"strides": _pair(stride or kernel), "pads": _pads(padding), "ceil_mode": int(ceil)}
    graph.emit(
        operator,
        "AveragePool",
        [graph.of(images)],
        kernel_shape=_pair(kernel),
        count_include_pad=int(includes_pad),
        **sizes,
    )


def _concatenate(graph: GraphBuilder, operator: Operator) -> None:
    axis = operator.arguments[1] if len(operator.arguments) > 1 else 0
    graph.emit(operator, "Concat", [graph.of(value) for value in operator.arguments[0]], axis=axis)


def _slice(graph: GraphBuilder, operator: Operator) -> None:
    images, axis, start, end, step = _filled(operator, 0, None, None, 1)
    if (start or 0) == 0 and (end is None or end >= 2**62) and step == 1:
        graph.emit(operator, "Identity", [graph.of(images)])
        return
    end = 2**62 if end is None else end
    bounds = [graph.constant(torch.tensor([int(value)])) for value in (start or 0, end, axis, step)]
    graph.emit(operator, "Slice", [graph.of(images), *bounds])


def _pad(graph: GraphBuilder, operator: Operator) -> None:
    images, sizes = operator.arguments[:2]
    value = operator.arguments[2] if len(operator.arguments) > 2 else 0
    rank = len(graph.shapes[images.index])
    before, after = [0] * rank, [0] * rank
    for axis in range(len(sizes) // 2):  # PyTorch begins with the last axis
        before[rank - 1 - axis], after[rank - 1 - axis] = sizes[2 * axis], sizes[2 * axis + 1]
    graph.emit(
        operator,
        "Pad",
        [graph.of(images), graph.constant(torch.tensor(before + after)), graph.of(value)],
    )


def _mean(graph: GraphBuilder, operator: Operator) -> None:
    images, axes = operator.arguments[:2]
    keeps = (
        operator.arguments[2]
        if len(operator.arguments) > 2
        else operator.keywords.get("keepdim", False)
    )
    inputs = [graph.of(images), graph.constant(torch.tensor(list(axes)))]
    graph.emit(operator, "ReduceMean", inputs, keepdims=int(keeps))


def _view(graph: GraphBuilder, operator: Operator) -> None:
    before, after = graph.shapes[operator.arguments[0].index], graph.shapes[operator.outputs[0]]
    if before[0] != after[0]:
        raise UnknownOperatorError("a view across images")
    shape = torch.tensor([0, *after[1:]])  # 0 keeps the batch's size
    graph.emit(operator, "Reshape", [graph.of(operator.arguments[0]), graph.constant(shape)])


def _linear(graph: GraphBuilder, operator: Operator) -> None:
    bias, images, weight = operator.arguments
    if isinstance(bias, Value) or isinstance(weight, Value) or operator.keywords:
        raise UnknownOperatorError("addmm")
    graph.emit(operator, "Gemm", [graph.of(images), graph.of(weight), graph.of(bias)])


def _product(graph: GraphBuilder, operator: Operator) -> None:
    graph.emit(operator, "MatMul", [graph.of(value) for value in operator.arguments[:2]])


def _clip(graph: GraphBuilder, operator: Operator) -> None:
    images, low, high = _filled(operator, -1.0, 1.0)
    if low is None or high is None:
        raise UnknownOperatorError("clamp")
    graph.emit(operator, "Clip", [graph.of(images), graph.of(low), graph.of(high)])


NODES: dict[str, Callable[[GraphBuilder, Operator], None]] = {
    "convolution": _convolution,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "native_batch_norm": _evaluated_batch_norm,
    "relu": _plain("Relu"),
    "relu_": _plain("Relu"),
    "sigmoid": _plain("Sigmoid"),
    "hardswish": _plain("HardSwish"),
    "hardtanh": _clip,
    "hardtanh_": _clip,
    "clamp": _clip,
    "detach": _plain("Identity"),
    "alias": _plain("Identity"),
    "clone": _plain("Identity"),
    "add": _binary("Add"),
    "add_": _binary("Add"),
    "mul": _binary("Mul"),
    "cat": _concatenate,
    "slice": _slice,
    "constant_pad_nd": _pad,
    "max_pool2d_with_indices": _max_pool,
    "avg_pool2d": _average_pool,
    "mean": _mean,
    "view": _view,
    "_unsafe_view": _view,
    "addmm": _linear,
    "mm": _product,
}


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
        return (
            self.constant(value)
            if isinstance(value, Tensor)
            else self.constant(torch.tensor(float(value)))
        )

    def constant(self, tensor: Tensor) -> str:
        """Return the name of a weight, added to the graph at its first use."""
        from onnx import numpy_helper

        if id(tensor) not in self._constants:
            name = f"constant{len(self._constants)}"
            kept = tensor.detach()
            array = (kept.float() if kept.is_floating_point() else kept).contiguous().numpy()
            self.initializers.append(numpy_helper.from_array(array, name))
            self._constants[id(tensor)] = (
                name,
                tensor,
            )  # an id is unique as long as its tensor lives
        return self._constants[id(tensor)][0]

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node and return its output's name."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def emit(self, operator: Operator, kind: str, inputs: Sequence[str], **attributes: Any) -> None:
        """Add a node whose output is the operator's first."""
        self._names[operator.outputs[0]] = self.add(
            kind, inputs, f"value{len(self.nodes)}", **attributes
        )
