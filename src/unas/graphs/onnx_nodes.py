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

END = 2**62  # of a slice that ends where its axis does

Translate = Callable[["GraphBuilder", Operator], None]


def _unary(kind: str) -> Translate:
    """Return the translation of an operator whose only input is its first argument."""

    def translate(graph: GraphBuilder, operator: Operator) -> None:
        graph.emit(operator, kind, [graph.of(operator.arguments[0])])

    return translate


def _binary(kind: str) -> Translate:
    """Return the translation of an operator of two inputs."""

    def translate(graph: GraphBuilder, operator: Operator) -> None:
        if operator.keywords.get("alpha", 1) != 1:
            raise UnknownOperatorError("alpha")
        left, right = operator.arguments[:2]
        graph.emit(operator, kind, [graph.of(left), graph.of(right)])

    return translate


def _positional(operator: Operator) -> list[Any]:
    """Return all positional arguments; those that were left out are the schema's defaults."""
    schema = [argument for argument in operator.kind._schema.arguments if not argument.kwarg_only]
    left_out = schema[len(operator.arguments) :]
    return [*operator.arguments, *(argument.default_value for argument in left_out)]


def _pair(value: Sequence[int]) -> list[int]:
    """Return the sizes of height and width, where PyTorch gives one for both or one for each."""
    return [int(value[0]), int(value[-1])]


def _pads(value: Sequence[int]) -> list[int]:
    """Return the padding before height and width, and after them."""
    return _pair(value) * 2


def _convolution(graph: GraphBuilder, operator: Operator) -> None:
    images, weight, bias, stride, padding, dilation, transposed, _, groups = operator.arguments
    if transposed or isinstance(weight, Value) or weight.dim() != 4:
        raise UnknownOperatorError("convolution")
    inputs = [graph.of(images), graph.of(weight)]
    if bias is not None:
        inputs.append(graph.of(bias))
    graph.emit(
        operator,
        "Conv",
        inputs,
        kernel_shape=list(weight.shape[2:]),
        group=groups,
        strides=_pair(stride),
        pads=_pads(padding),
        dilations=_pair(dilation),
    )


def _batch_norm(graph: GraphBuilder, operator: Operator) -> None:
    images, weight, bias, mean, variance = operator.arguments[:5]
    if mean is None:  # statistics of the batch
        raise UnknownOperatorError("batch norm")
    weight = torch.ones_like(mean) if weight is None else weight
    bias = torch.zeros_like(mean) if bias is None else bias
    inputs = [graph.of(value) for value in (images, weight, bias, mean, variance)]
    graph.emit(operator, "BatchNormalization", inputs, epsilon=float(operator.arguments[-1]))


def _batch_norm_of_both_modes(graph: GraphBuilder, operator: Operator) -> None:
    is_training = operator.arguments[5]
    if is_training:
        raise UnknownOperatorError("batch norm")
    _batch_norm(graph, operator)


def _max_pool(graph: GraphBuilder, operator: Operator) -> None:
    images, kernel, stride, padding, dilation, is_ceil = _positional(operator)
    graph.emit(
        operator,
        "MaxPool",
        [graph.of(images)],
        kernel_shape=_pair(kernel),
        strides=_pair(stride or kernel),
        pads=_pads(padding),
        dilations=_pair(dilation),
        ceil_mode=int(is_ceil),
    )


def _average_pool(graph: GraphBuilder, operator: Operator) -> None:
    images, kernel, stride, padding, is_ceil, includes_padding, divisor = _positional(operator)
    if divisor is not None:
        raise UnknownOperatorError("divisor")
    graph.emit(
        operator,
        "AveragePool",
        [graph.of(images)],
        kernel_shape=_pair(kernel),
        strides=_pair(stride or kernel),
        pads=_pads(padding),
        ceil_mode=int(is_ceil),
        count_include_pad=int(includes_padding),
    )


def _concatenate(graph: GraphBuilder, operator: Operator) -> None:
    values, axis = _positional(operator)
    graph.emit(operator, "Concat", [graph.of(value) for value in values], axis=axis)


def _slice(graph: GraphBuilder, operator: Operator) -> None:
    images, axis, start, end, step = _positional(operator)
    start = start or 0
    end = END if end is None else end
    if start == 0 and end >= END and step == 1:
        graph.emit(operator, "Identity", [graph.of(images)])
        return
    bounds = [graph.constant(torch.tensor([int(value)])) for value in (start, end, axis, step)]
    graph.emit(operator, "Slice", [graph.of(images), *bounds])


def _pad(graph: GraphBuilder, operator: Operator) -> None:
    images, sizes, value = _positional(operator)
    rank = len(graph.shapes[images.index])
    before, after = [0] * rank, [0] * rank
    for position in range(len(sizes) // 2):
        axis = rank - 1 - position  # PyTorch begins with the last axis
        before[axis] = sizes[2 * position]
        after[axis] = sizes[2 * position + 1]
    pads = graph.constant(torch.tensor(before + after))
    graph.emit(operator, "Pad", [graph.of(images), pads, graph.of(value)])


def _mean(graph: GraphBuilder, operator: Operator) -> None:
    images, axes, keeps_axes = _positional(operator)
    if axes is None or 0 in axes or -len(graph.shapes[images.index]) in axes:
        raise UnknownOperatorError("a mean over images")
    inputs = [graph.of(images), graph.constant(torch.tensor(list(axes)))]
    graph.emit(operator, "ReduceMean", inputs, keepdims=int(keeps_axes))


def _view(graph: GraphBuilder, operator: Operator) -> None:
    images = operator.arguments[0]
    before = graph.shapes[images.index]
    after = graph.shapes[operator.outputs[0]]
    if before[0] != after[0]:
        raise UnknownOperatorError("a view across images")
    shape = torch.tensor([0, *after[1:]])  # 0 keeps the batch's size
    graph.emit(operator, "Reshape", [graph.of(images), graph.constant(shape)])


def _linear(graph: GraphBuilder, operator: Operator) -> None:
    bias, images, weight = operator.arguments
    if isinstance(bias, Value) or isinstance(weight, Value) or operator.keywords:
        raise UnknownOperatorError("addmm")
    graph.emit(operator, "Gemm", [graph.of(images), graph.of(weight), graph.of(bias)])


def _clip(graph: GraphBuilder, operator: Operator) -> None:
    images, low, high = _positional(operator)
    if low is None or high is None:
        raise UnknownOperatorError("clamp")
    graph.emit(operator, "Clip", [graph.of(images), graph.of(low), graph.of(high)])


# How each PyTorch operator is translated; another overload may mean something else.
NODES: dict[str, Translate] = {
    "aten.convolution.default": _convolution,
    "aten._native_batch_norm_legit_no_training.default": _batch_norm,
    "aten.native_batch_norm.default": _batch_norm_of_both_modes,
    "aten.relu.default": _unary("Relu"),
    "aten.relu_.default": _unary("Relu"),
    "aten.sigmoid.default": _unary("Sigmoid"),
    "aten.hardswish.default": _unary("HardSwish"),
    "aten.hardtanh.default": _clip,
    "aten.hardtanh_.default": _clip,
    "aten.clamp.default": _clip,
    "aten.detach.default": _unary("Identity"),
    "aten.alias.default": _unary("Identity"),
    "aten.clone.default": _unary("Identity"),
    "aten.add.Tensor": _binary("Add"),
    "aten.add_.Tensor": _binary("Add"),
    "aten.mul.Tensor": _binary("Mul"),
    "aten.cat.default": _concatenate,
    "aten.slice.Tensor": _slice,
    "aten.constant_pad_nd.default": _pad,
    "aten.max_pool2d_with_indices.default": _max_pool,
    "aten.avg_pool2d.default": _average_pool,
    "aten.mean.dim": _mean,
    "aten.view.default": _view,
    "aten._unsafe_view.default": _view,
    "aten.addmm.default": _linear,
    "aten.mm.default": _binary("MatMul"),
}


class UnknownOperatorError(Exception):
    """An operator has no translation here."""


class GraphBuilder:
    """Collects the nodes and the weights of an ONNX graph.

    Args:
        shapes: the shape of each activation.

    Attributes:
        nodes: the graph's nodes in their order.
        initializers: the graph's weights.
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]]) -> None:
        self.shapes = shapes
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._names: dict[int, str] = {0: INPUT}
        self._constants: dict[int, tuple[str, Tensor]] = {}

    def name(self, index: int) -> str:
        """Return what an activation is called now; an operator in place gives it a new name."""
        return self._names[index]

    def of(self, value: Any) -> str:
        """Return the name of an argument: an activation, a weight or a number."""
        if isinstance(value, Value):
            return self.name(value.index)
        if isinstance(value, Tensor):
            return self.constant(value)
        return self.constant(torch.tensor(float(value)))

    def constant(self, tensor: Tensor) -> str:
        """Return the name of a weight, added to the graph at its first use."""
        from onnx import numpy_helper

        if id(tensor) not in self._constants:
            name = f"constant{len(self._constants)}"
            values = tensor.detach().contiguous()
            if values.is_floating_point():
                values = values.float()
            self.initializers.append(numpy_helper.from_array(values.numpy(), name))
            # The tensor is kept because its id is unique only as long as it lives.
            self._constants[id(tensor)] = (name, tensor)
        name, _ = self._constants[id(tensor)]
        return name

    def add(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node and return its output's name."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def emit(self, operator: Operator, kind: str, inputs: Sequence[str], **attributes: Any) -> None:
        """Add a node whose output is the operator's first."""
        output = f"value{len(self.nodes)}"
        self._names[operator.outputs[0]] = self.add(kind, inputs, output, **attributes)
