"""Adam in one kernel on a CPU, and tensors that lie in memory as that kernel takes them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def laid_out_like(values: Tensor, model: Tensor) -> Tensor:
    """Return the values in the order in which `model`, of their shape, lies in memory."""
    if values.stride() == model.stride():
        return values
    return torch.empty_like(model, dtype=values.dtype, device=values.device).copy_(values)


def adam(parameters: Iterable[Tensor], lr: float, weight_decay: float) -> torch.optim.Adam:
    """Return Adam of these parameters, fused on a CPU.

    The fused kernel trusts that a gradient lies in memory as its parameter does: see
    `laid_out_like`.
    """
    parameters = list(parameters)
    is_fused = all(_suits_fused_kernel(parameter) for parameter in parameters)
    fused = is_fused or None  # None is PyTorch's own choice
    return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay, fused=fused)


def _suits_fused_kernel(parameter: Tensor) -> bool:
    is_dense = torch.empty_like(parameter).stride() == parameter.stride()
    return parameter.is_cpu and parameter.is_floating_point() and is_dense
