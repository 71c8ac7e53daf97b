"""The multiply-adds of ONNX operators: of convolutions, matrix products, recurrent cells.

Every operator is named here, by a rule or as one that is free. One that is not named is refused:
nobody has judged it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from unas.common.errors import UserError
from unas.graphs.einsum import einsum_macs
from unas.graphs.onnx_values import name_of

if TYPE_CHECKING:
    import onnx

Shape = tuple[int, ...]
# The shapes of a graph's values by name; an input or output that is left out has the name "".
Shapes = Mapping[str, Shape]
Rule = Callable[["onnx.NodeProto", Shapes], int]


def is_product(node: onnx.NodeProto) -> bool:
    """Return whether a node multiplies matrices, which takes the shapes of its values to count."""
    return name_of(node) in _PRODUCTS


def is_judged(node: onnx.NodeProto) -> bool:
    """Return whether it is known what a node does."""
    return is_product(node) or name_of(node) in _FREE


def require_judged(node: onnx.NodeProto) -> None:
    """Refuse an operator that is neither a product nor free.

    Raises:
        UserError: nobody has judged it.
    """
    if not is_judged(node):
        raise UserError(
            f"{name_of(node)} is an operator whose multiply-adds are unknown; write the file "
            "without it, or ask for no multiply-adds"
        )


def macs_of_product(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Return the multiply-adds of a node for which `is_product` is true.

    Args:
        node: the node.
        shapes: those of its inputs and outputs at least.

    Raises:
        UserError: it has attributes that nobody has judged.
    """
    return _PRODUCTS[name_of(node)](node, shapes)


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    import onnx

    for attribute in node.attribute:
        if attribute.name == name:
            return onnx.helper.get_attribute_value(attribute)
    return default


def _convolution(weight_position: int) -> Rule:
    """Return the rule of a convolution whose weight is at this place among its inputs."""

    def rule(node: onnx.NodeProto, shapes: Shapes) -> int:
        weight = shapes[node.input[weight_position]]
        return math.prod(shapes[node.output[0]]) * math.prod(weight[1:])

    return rule


def _transposed_convolution(node: onnx.NodeProto, shapes: Shapes) -> int:
    images, weight = (shapes[name] for name in node.input[:2])
    return math.prod(images) * math.prod(weight[1:])


def _causal_convolution(node: onnx.NodeProto, shapes: Shapes) -> int:
    sequence, weight = (shapes[name] for name in node.input[:2])
    return math.prod(sequence) * weight[-1]


def _gemm(node: onnx.NodeProto, shapes: Shapes) -> int:
    left = shapes[node.input[0]]
    is_transposed = _attribute(node, "transA", 0)
    return math.prod(shapes[node.output[0]]) * (left[0] if is_transposed else left[1])


def _matrix_product(node: onnx.NodeProto, shapes: Shapes) -> int:
    left = shapes[node.input[0]]
    return math.prod(shapes[node.output[0]]) * left[-1]


def _fused_matrix_product(node: onnx.NodeProto, shapes: Shapes) -> int:
    left = shapes[node.input[0]]
    if _attribute(node, "transBatchA", 0) or _attribute(node, "transBatchB", 0):
        raise UserError(
            f"{name_of(node)} with transBatchA or transBatchB is an operator whose multiply-adds "
            "are unknown; write the file before ONNX Runtime optimises it"
        )
    is_transposed = _attribute(node, "transA", 0)
    return math.prod(shapes[node.output[0]]) * (left[-2] if is_transposed else left[-1])


def _einsum(node: onnx.NodeProto, shapes: Shapes) -> int:
    equation = _attribute(node, "equation", b"").decode()
    return einsum_macs(equation, [shapes[name] for name in node.input])


def _recurrent(node: onnx.NodeProto, shapes: Shapes) -> int:
    sequence, input_weight, hidden_weight = (shapes[name] for name in node.input[:3])
    return math.prod(sequence[:2]) * (math.prod(input_weight) + math.prod(hidden_weight))


def _attention(node: onnx.NodeProto, shapes: Shapes) -> int:
    query, key = (shapes[name] for name in node.input[:2])
    past_key = node.input[4] if len(node.input) > 4 else ""
    keys = key[-2] + (shapes[past_key][-2] if past_key else 0)
    # Every query meets every key, and every score every value, masked or not.
    return (math.prod(query) + math.prod(shapes[node.output[0]])) * keys


def _affine_grid(node: onnx.NodeProto, shapes: Shapes) -> int:
    matrices = shapes[node.input[0]]
    return math.prod(shapes[node.output[0]]) * matrices[-1]


_PRODUCTS: dict[str, Rule] = {
    "AffineGrid": _affine_grid,
    "Attention": _attention,
    "CausalConvWithState": _causal_convolution,
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "ConvTranspose": _transposed_convolution,
    "DeformConv": _convolution(1),
    "Einsum": _einsum,
    "GRU": _recurrent,
    "Gemm": _gemm,
    "LSTM": _recurrent,
    "MatMul": _matrix_product,
    "MatMulInteger": _matrix_product,
    "QLinearConv": _convolution(3),
    "QLinearMatMul": _matrix_product,
    "RNN": _recurrent,
    # what ONNX Runtime makes of them
    "com.microsoft.DynamicQuantizeLSTM": _recurrent,
    "com.microsoft.DynamicQuantizeMatMul": _matrix_product,
    "com.microsoft.FusedConv": _convolution(1),
    "com.microsoft.FusedGemm": _gemm,
    "com.microsoft.FusedMatMul": _fused_matrix_product,
    "com.microsoft.MatMulIntegerToFloat": _matrix_product,
    "com.microsoft.QGemm": _gemm,
}

_FREE = frozenset(
    name
    for line in (
        # one value at a time
        "Abs Acos Acosh Add And Asin Asinh Atan Atanh BitCast BitShift BitwiseAnd BitwiseNot",
        "BitwiseOr BitwiseXor Cast CastLike Ceil Celu Clip Cos Cosh DequantizeLinear Div Dropout",
        "DynamicQuantizeLinear Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid",
        "HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul",
        "Neg Not Or PRelu Pow QuantizeLinear Reciprocal Relu RotaryEmbedding Round Selu Shrink",
        "Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum SwiGLU Swish Tan Tanh",
        "ThresholdedRelu Where Xor",
        # sums, extremes, order, normalisation
        "ArgMax ArgMin BatchNormalization CumProd CumSum GroupNormalization Hardmax",
        "InstanceNormalization LRN LayerNormalization LogSoftmax LpNormalization",
        "MeanVarianceNormalization NegativeLogLikelihoodLoss NonMaxSuppression NonZero",
        "RMSNormalization ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean",
        "ReduceMin ReduceProd ReduceSum ReduceSumSquare Softmax SoftmaxCrossEntropyLoss TopK",
        "Unique",
        # pooling and resizing
        "AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample LpPool MaxPool",
        "MaxRoiPool MaxUnpool Resize RoiAlign Upsample",
        # moving and choosing values
        "CenterCropPad Col2Im Compress Concat DepthToSpace Expand Flatten Gather GatherElements",
        "GatherND Pad Reshape ReverseSequence Scatter ScatterElements ScatterND Shape Size Slice",
        "SpaceToDepth Split Squeeze TensorScatter Tile Transpose Trilu Unsqueeze",
        # new values
        "Bernoulli BlackmanWindow Constant ConstantOfShape EyeLike HammingWindow HannWindow",
        "MelWeightMatrix Multinomial OneHot RandomNormal RandomNormalLike RandomUniform",
        "RandomUniformLike Range",
        # sequences and optional values, which hold what is counted elsewhere
        "ConcatFromSequence Optional OptionalGetElement OptionalHasElement SequenceAt",
        "SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength",
        "SplitToSequence",
        # what ONNX Runtime makes of them
        "com.microsoft.BiasGelu com.microsoft.DequantizeLinear com.microsoft.FastGelu",
        "com.microsoft.Gelu com.microsoft.QLinearAdd com.microsoft.QLinearAveragePool",
        "com.microsoft.QLinearConcat com.microsoft.QLinearGlobalAveragePool",
        "com.microsoft.QLinearLeakyRelu com.microsoft.QLinearMul com.microsoft.QLinearReduceMean",
        "com.microsoft.QLinearSigmoid com.microsoft.QLinearSoftmax com.microsoft.QLinearWhere",
        "com.microsoft.QuantizeLinear com.microsoft.QuickGelu",
        "com.microsoft.SkipLayerNormalization",
    )
    for name in line.split()
)
