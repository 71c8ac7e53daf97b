"""The multiply-adds of PyTorch's operators: of convolutions, matrix products, recurrent cells.

Every operator is named here, by a rule or as one that is free. One that is not named is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from unas.common.errors import UserError
from unas.graphs.operators import Operator, Value

Shape = tuple[int, ...]


def macs_of(operators: Iterable[Operator], shapes: Sequence[Shape]) -> int:
    """Return the multiply-adds of recorded operators.

    Args:
        operators: what `unas.graphs.operators.record` saw.
        shapes: the shape of each activation.

    Raises:
        UserError: an operator is neither a product nor free.
    """
    return sum(_macs(operator, shapes) for operator in operators)


def _macs(operator: Operator, shapes: Sequence[Shape]) -> int:
    if operator.kind.namespace == "aten" and operator.name in _PRODUCTS:
        arguments = [_shapes_in(argument, shapes) for argument in operator.arguments]
        return _PRODUCTS[operator.name](operator, arguments)
    if _is_free(operator):
        return 0
    raise UserError(
        f"the network runs {operator.kind}, whose multiply-adds are unknown; write it as "
        "convolutions or matrix products, or ask for no multiply-adds"
    )


def _is_free(operator: Operator) -> bool:
    kind = operator.kind
    if kind.namespace != "aten":
        return False
    is_one_value_at_a_time = torch.Tag.pointwise in kind.tags
    return is_one_value_at_a_time or kind.is_view or operator.name.rstrip("_") in _FREE


def _shapes_in(argument: Any, shapes: Sequence[Shape]) -> Any:
    """Return an argument with the shape of each tensor in its place."""
    if isinstance(argument, Value):
        return shapes[argument.index]
    if isinstance(argument, Tensor):
        return tuple(argument.shape)
    if isinstance(argument, list | tuple):
        return [_shapes_in(item, shapes) for item in argument]
    return argument


# The rules: multiply-adds from an operator and its arguments, with shapes in the place of tensors.
Rule = Callable[[Operator, Sequence[Any]], int]


def _size(shape: Shape) -> int:
    return math.prod(shape)


def _convolution(operator: Operator, arguments: Sequence[Any]) -> int:
    images, weight = arguments[:2]
    is_transposed = arguments[6]
    # A filter gathers what makes one output value, or scatters one input value if transposed.
    values = images if is_transposed else operator.written[0]
    return _size(values) * _size(weight[1:])


def _matrix_product(_: Operator, arguments: Sequence[Any]) -> int:
    left, right = arguments[:2]
    columns = right[-1:] if len(right) > 1 else ()
    return _size(left) * _size(columns)


def _product_added_to_another(operator: Operator, arguments: Sequence[Any]) -> int:
    return _matrix_product(operator, arguments[1:])


def _linear(_: Operator, arguments: Sequence[Any]) -> int:
    values, weight = arguments[:2]
    return _size(values) * _size(weight[:-1])


def _attention(_: Operator, arguments: Sequence[Any]) -> int:
    query, key, value = arguments[:3]
    scores = _size(query[:-1]) * _size(key[-2:-1])
    return scores * (_size(query[-1:]) + _size(value[-1:]))


def _affine_grid(operator: Operator, arguments: Sequence[Any]) -> int:
    matrices = arguments[0]
    return _size(operator.written[0]) * _size(matrices[-1:])


def _recurrent_layer(_: Operator, arguments: Sequence[Any]) -> int:
    sequence, input_weight, hidden_weight = arguments[:3]
    return _size(sequence[:-1]) * (_size(input_weight) + _size(hidden_weight))


def _recurrent_layers(_: Operator, arguments: Sequence[Any]) -> int:
    sequence, weights = arguments[:2]
    matrices = [weight for weight in weights if len(weight) == 2]
    return _size(sequence[:-1]) * sum(_size(matrix) for matrix in matrices)


_PRODUCTS: dict[str, Rule] = {
    "convolution": _convolution,
    "convolution_overrideable": _convolution,
    "mm": _matrix_product,
    "bmm": _matrix_product,
    "mv": _matrix_product,
    "dot": _matrix_product,
    "vdot": _matrix_product,
    "_int_mm": _matrix_product,
    "_scaled_mm": _matrix_product,
    "addmm": _product_added_to_another,
    "addmm_": _product_added_to_another,
    "addbmm": _product_added_to_another,
    "addbmm_": _product_added_to_another,
    "baddbmm": _product_added_to_another,
    "baddbmm_": _product_added_to_another,
    "addmv": _product_added_to_another,
    "addmv_": _product_added_to_another,
    "_addmm_activation": _product_added_to_another,
    "linear": _linear,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
    "_scaled_dot_product_flash_attention": _attention,
    "_scaled_dot_product_efficient_attention": _attention,
    "_scaled_dot_product_cudnn_attention": _attention,
    "_scaled_dot_product_fused_attention_overrideable": _attention,
    "affine_grid_generator": _affine_grid,
    "mkldnn_rnn_layer": _recurrent_layer,
    "_cudnn_rnn": _recurrent_layers,
    "miopen_rnn": _recurrent_layers,
}

# Operators that multiply no matrices, besides views and those of one value at a time; an operator
# that works in place has an underscore more.
_FREE = frozenset(
    name
    for line in (
        # sums, extremes, order
        "all allclose amax amin aminmax any argmax argmin count_nonzero cummax cummin cumprod",
        "cumsum dist kthvalue linalg_vector_norm logcumsumexp _logcumsumexp logsumexp max mean",
        "median min mode nanmedian nansum norm prod sort std std_mean sum topk trace var",
        "var_mean",
        # normalisation
        "_batch_norm_no_update _batch_norm_with_update _fused_rms_norm _log_softmax",
        "_masked_softmax _native_batch_norm_legit _native_batch_norm_legit_no_training",
        "_safe_softmax _softmax _weight_norm_interface cudnn_batch_norm miopen_batch_norm",
        "native_batch_norm native_group_norm native_layer_norm renorm",
        # pooling, resizing, padding
        "_adaptive_avg_pool2d _adaptive_avg_pool3d _upsample_bicubic2d_aa _upsample_bilinear2d_aa",
        "_upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d",
        "adaptive_max_pool2d adaptive_max_pool3d avg_pool2d avg_pool3d constant_pad_nd",
        "cudnn_grid_sampler fractional_max_pool2d fractional_max_pool3d grid_sampler_2d",
        "grid_sampler_3d max_pool2d_with_indices max_pool3d_with_indices max_unpool2d max_unpool3d",
        "reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d",
        "replication_pad3d upsample_bicubic2d upsample_bilinear2d upsample_linear1d",
        "upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_trilinear3d",
        # moving and choosing values
        "_chunk_cat _embedding_bag _embedding_bag_forward_only _local_scalar_dense _stack",
        "_to_copy _unsafe_index _unsafe_index_put _unsafe_masked_index _unsafe_view as_strided",
        "block_diag bucketize cat channel_shuffle col2im copy detach diag_embed",
        "diagonal_scatter embedding expand_copy fill flip gather im2col index index_add",
        "index_copy index_fill index_put index_reduce index_select lift_fresh_copy masked_fill",
        "masked_scatter masked_select narrow_copy nonzero permute_copy pixel_shuffle",
        "pixel_unshuffle put repeat repeat_interleave resize roll rot90 scatter scatter_add",
        "scatter_reduce searchsorted select_copy select_scatter set slice_copy slice_scatter",
        "split_copy split_with_sizes_copy squeeze squeeze_copy stack t take transpose",
        "transpose_copy tril triu unbind_copy unfold_copy unique_consecutive unsafe_split",
        "unsafe_split_with_sizes unsqueeze unsqueeze_copy view_copy where zero",
        # one value at a time, though PyTorch doesn't say so
        "_fake_quantize_learnable_per_channel_affine _prelu_kernel _thnn_fused_gru_cell",
        "_thnn_fused_lstm_cell abs addr complex dequantize eq",
        "fake_quantize_per_channel_affine_cachemask fake_quantize_per_tensor_affine_cachemask",
        "floor_divide ge gelu glu gt hardswish isin le log_sigmoid_forward lt mish ne",
        "polar quantize_per_channel quantize_per_tensor rrelu_with_noise rsub threshold",
        # new tensors
        "_efficientzerotensor arange bartlett_window bernoulli blackman_window empty empty_like",
        "empty_permuted empty_strided exponential eye full full_like hamming_window hann_window",
        "kaiser_window linspace logspace multinomial new_empty new_empty_strided new_full new_ones",
        "new_zeros normal normal_functional ones ones_like rand rand_like randint randint_like",
        "randn randn_like random randperm scalar_tensor tril_indices triu_indices uniform zeros",
        "zeros_like",
        # remarks
        "_assert_async _assert_scalar _assert_tensor_metadata _functional_assert_async",
        "is_same_size sym_constrain_range sym_constrain_range_for_size",
    )
    for name in line.split()
)
