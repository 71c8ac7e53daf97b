"""Adam in one kernel, and tensors that lie in memory as that kernel takes them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def laid_out_like(values: Tensor, model: Tensor) -> Tensor:
    """Return the values in the order in which `model`, of their shape, lies in memory."""
    if values.stride() == model.stride():
        return values
    if _strides(values) == _strides(model):
        return values.as_strided(model.size(), model.stride(), values.storage_offset())
    return torch.empty_like(model, dtype=values.dtype, device=values.device).copy_(values)


def _strides(tensor: Tensor) -> list[int]:
    """Return those that matter: along a dimension of size 1 no step is ever taken."""
    return [stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]


def adam(parameters: Iterable[Tensor], lr: float, weight_decay: float) -> torch.optim.Adam:
    """Return Adam of these parameters, fused on a CPU and on a CUDA device.

    The fused kernel trusts that a gradient lies in memory as its parameter does: see
    `laid_out_like`.
    """
    parameters = list(parameters)
    is_fused = all(_suits_fused_kernel(parameter) for parameter in parameters)
    fused = is_fused or None  # None is PyTorch's own choice
    return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay, fused=fused)


def _suits_fused_kernel(parameter: Tensor) -> bool:
    is_dense = torch.empty_like(parameter).stride() == parameter.stride()
    has_kernel = parameter.is_cpu or parameter.is_cuda
    return has_kernel and parameter.is_floating_point() and is_dense
