"""What the values of an ONNX graph are: images, constants, and numbers that only say where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it takes a second to import
    import onnx

# The inputs of each operator that say how large its output is.
SIZES: dict[str, tuple[int, ...]] = {
    "AffineGrid": (1,),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "ConstantOfShape": (0,),
    "Expand": (1,),
    "MaxUnpool": (2,),
    "OneHot": (1,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "ReduceL1": (1,),
    "ReduceL2": (1,),
    "ReduceLogSum": (1,),
    "ReduceLogSumExp": (1,),
    "ReduceMax": (1,),
    "ReduceMean": (1,),
    "ReduceMin": (1,),
    "ReduceProd": (1,),
    "ReduceSum": (1,),
    "ReduceSumSquare": (1,),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Unsqueeze": (1,),
    "Upsample": (1,),
}
# The inputs of each operator that say which values it takes.
PLACES: dict[str, tuple[int, ...]] = {
    "Attention": (6,),
    "CumProd": (1,),
    "CumSum": (1,),
    "Dropout": (1, 2),
    "GRU": (4,),
    "Gather": (1,),
    "GatherElements": (1,),
    "GatherND": (1,),
    "LSTM": (4,),
    "MaxUnpool": (1,),
    "OneHot": (0,),
    "RNN": (4,),
    "ReverseSequence": (1,),
    "RoiAlign": (2,),
    "RotaryEmbedding": (3,),
    "Scatter": (1,),
    "ScatterElements": (1,),
    "ScatterND": (1,),
    "TensorScatter": (2,),
    "Trilu": (1,),
    "Where": (0,),
}
# Operators whose output is as large as the values of their input make it.
SIZED_BY_VALUES = frozenset({"Compress", "NonMaxSuppression", "NonZero", "Unique"})
_RANDOM = frozenset(
    {
        "Bernoulli",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)


def name_of(node: onnx.NodeProto) -> str:
    """Return the operator of a node; ONNX's own have no domain before their name."""
    return node.op_type if node.domain in {"", "ai.onnx"} else f"{node.domain}.{node.op_type}"


def images_of(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs of a graph that are no weights."""
    weights = {value.name for value in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def subgraphs_of(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the graphs that a node runs: the branches of an If, the body of a Loop."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def constants_of(graph: onnx.GraphProto) -> set[str]:
    """Return the values that are the same for all images: weights, and what is computed of them."""
    constants = {value.name for value in graph.initializer}
    for node in graph.node:
        inputs = [name for name in node.input if name]
        is_constant = node.op_type not in _RANDOM and not any(subgraphs_of(node))
        if is_constant and all(name in constants for name in inputs):
            constants.update(node.output)
    return constants


def values_of_images(graph: onnx.GraphProto) -> set[str]:
    """Return the values that depend on what the images show, and not only on how large they are."""
    values = {image.name for image in images_of(graph)}
    for node in graph.node:
        is_about_sizes = node.op_type in {"Shape", "Size"}
        if not is_about_sizes and any(name in values for name in node.input):
            values.update(node.output)
    return values
