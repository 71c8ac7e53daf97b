"""How large an ONNX model is, counted from its graph: multiply-adds, parameters, peak activation memory."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unas.common.errors import UserError, first_line
from unas.common.files import is_plain
from unas.graphs.memory import Step, peak_bytes

if TYPE_CHECKING:  # it takes a second to import
    import onnx

# Where the weight of a convolution is among its inputs.
_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3, "ConvTranspose": 1}
_PRODUCTS = frozenset({"MatMul", "MatMulInteger", "QLinearMatMul"})
_ELEMENTWISE = re.compile(
    "Abs|Add|BatchNormalization|Ceil|Clip|Div|Elu|Erf|Exp|Floor|Gelu|HardSigmoid|HardSwish|LeakyRelu|Log|Max|Min|Mish|"
    "Mul|Neg|PRelu|Pow|Relu|Round|Selu|Sigmoid|Softplus|Sqrt|Sub|Tanh|ThresholdedRelu"
)
_VIEWS = frozenset({"Dropout", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})


@dataclass(frozen=True)
class OnnxSize:
    """The size of an ONNX model for one image.

    Args:
        macs: multiply-adds of its convolutions and matrix products.
        parameters: the numbers in its weights (initializers and Constant nodes), without the
            running statistics of BatchNorms. An exporter may fold one into the convolution before
            it: one number a channel is left of two.
        memory: peak activation memory in bytes, as `unas.graphs.memory` defines it.
        image_shape: (C, H, W).
    """

    macs: int
    parameters: int
    memory: int
    image_shape: tuple[int, int, int]


def count_onnx(path: Path, image_shape: tuple[int, int, int] | None = None) -> OnnxSize:
    """Count an ONNX file.

    Args:
        path: the file.
        image_shape: (C, H, W), where the file leaves it open.

    Raises:
        UserError: it is no ONNX file, takes no images, leaves a shape open, or has control flow or
            sparse weights.
    """
    model = load_onnx(path)
    shape = input_shape_of(model, path, image_shape)
    _require_countable(model.graph, path)
    graph = _inferred(model, shape, path)
    shapes = _shapes(graph)
    try:
        macs = sum(_macs(node, shapes) for node in graph.node)
        memory = _memory(graph, shapes, {value.name for value in graph.initializer})
    except KeyError as error:
        raise UserError(
            f"{path}: the shape of {error} can't be inferred; export it with fixed sizes"
        ) from error
    return OnnxSize(macs, _parameters(graph), memory, shape)


def load_onnx(path: Path) -> onnx.ModelProto:
    """Return the model in a file.

    Raises:
        UserError: there is none.
    """
    import onnx
    import onnx.inliner

    if not is_plain(path):
        raise UserError(f"{path} doesn't exist or is no file; name an ONNX file")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (
        Exception
    ) as error:  # protobuf's, onnx's and the file system's errors share no base class
        raise UserError(f"{path} is no ONNX file: {first_line(error)}") from error
    return onnx.inliner.inline_local_functions(model) if model.functions else model


def input_shape_of(
    model: onnx.ModelProto, path: Path, image_shape: tuple[int, int, int] | None = None
) -> tuple[int, int, int]:
    """Return (C, H, W) of the images that a model takes.

    Raises:
        UserError: it doesn't take one batch of images, or leaves a size open that `image_shape`
            doesn't give.
    """
    constants = {value.name for value in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    sizes = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else []
    if len(sizes) != 4:
        raise UserError(
            f"{path} takes {len(inputs)} inputs; it must take one batch of images [B, C, H, W]"
        )
    if image_shape is not None:
        if any(size not in {0, given} for size, given in zip(sizes[1:], image_shape, strict=True)):
            raise UserError(
                f"{path} takes images {sizes[1:]}, not {list(image_shape)}; leave the shape out"
            )
        return image_shape
    if not all(sizes[1:]):
        raise UserError(
            f"{path} leaves the size of its images open; give it, for example --input-shape 3,32,32"
        )
    return sizes[1], sizes[2], sizes[3]


def _require_countable(graph: onnx.GraphProto, path: Path) -> None:
    is_sparse = bool(graph.sparse_initializer)
    for node in graph.node:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise UserError(
                f"{path}: {node.op_type} is control flow, which can't be counted; export without it"
            )
        is_sparse |= any(attribute.HasField("sparse_tensor") for attribute in node.attribute)
    if is_sparse:
        raise UserError(f"{path} has sparse weights, which can't be counted; export dense ones")


def _inferred(
    model: onnx.ModelProto, image_shape: tuple[int, int, int], path: Path
) -> onnx.GraphProto:
    """Return the graph with the shape of every value, for one image."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]  # the exporter's, of another batch
    constants = {value.name for value in copy.graph.initializer}
    images = next(value for value in copy.graph.input if value.name not in constants)
    for dimension, size in zip(images.type.tensor_type.shape.dim, (1, *image_shape), strict=True):
        dimension.dim_value = size
    for result in copy.graph.output:
        result.type.tensor_type.ClearField("shape")
    try:
        return onnx.shape_inference.infer_shapes(copy, strict_mode=True, data_prop=True).graph
    except Exception as error:  # onnx's error is no public class
        raise UserError(f"{path}: shapes can't be inferred: {first_line(error)}") from error


def _shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    found = {value.name: tuple(value.dims) for value in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        dimensions = value.type.tensor_type.shape.dim
        if all(d.HasField("dim_value") for d in dimensions):
            found.setdefault(value.name, tuple(d.dim_value for d in dimensions))
    return found


def _macs(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    if node.op_type in _CONVOLUTIONS:
        weight = shapes[node.input[_CONVOLUTIONS[node.op_type]]]
        per_value = node.input[0] if node.op_type == "ConvTranspose" else node.output[0]
        return math.prod(shapes[per_value]) * math.prod(weight[1:])
    if node.op_type == "Gemm":
        is_transposed = any(
            attribute.name == "transA" and attribute.i for attribute in node.attribute
        )
        return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if is_transposed else 1]
    if node.op_type in _PRODUCTS:
        return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    return 0


def _parameters(graph: onnx.GraphProto) -> int:
    import onnx

    statistics = {
        name for n in graph.node if n.op_type == "BatchNormalization" for name in n.input[3:5]
    }
    floats = {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.BFLOAT16,
        onnx.TensorProto.DOUBLE,
    }
    quantised = {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
    held = [
        (node.output[0], node.attribute[0]) for node in graph.node if node.op_type == "Constant"
    ]
    weights = {value.name: value for value in graph.initializer}
    weights |= {name: attribute.t for name, attribute in held if attribute.name == "value"}
    counted: list[int] = [
        math.prod(value.dims)
        for name, value in weights.items()
        if value.dims and name not in statistics and value.data_type in floats | quantised
    ]
    counted += [len(attribute.floats) for _, attribute in held]
    return sum(counted)


def _memory(graph: onnx.GraphProto, shapes: dict[str, tuple[int, ...]], constants: set[str]) -> int:
    import onnx

    types = {
        v.name: v.type.tensor_type.elem_type
        for v in (*graph.input, *graph.value_info, *graph.output)
    }
    images = [value.name for value in graph.input if value.name not in constants]
    indices = {name: index for index, name in enumerate(images)}
    steps = []
    for node in graph.node:
        inputs = [indices[name] for name in node.input if name in indices]
        if inputs:
            outputs = tuple(indices.setdefault(name, len(indices)) for name in node.output if name)
            kind = node.op_type
            steps.append(
                Step(
                    tuple(inputs), outputs, _ELEMENTWISE.fullmatch(kind) is not None, kind in _VIEWS
                )
            )
    sizes = [0] * len(indices)
    used = {index for step in steps for index in step.inputs}
    results = [indices[value.name] for value in graph.output if value.name in indices]
    for name, index in indices.items():
        if index in used or index in results:
            item = onnx.helper.tensor_dtype_to_np_dtype(types[name]).itemsize
            sizes[index] = item * math.prod(shapes[name])
    return peak_bytes(sizes, steps, results, tuple(range(len(images))))
