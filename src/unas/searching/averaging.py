"""An exponential average of the supernet's weights, in which architectures are compared."""

from __future__ import annotations

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

RAMP = 10  # the first averages forget faster, or the weights of the start would be in them for long
_Tensors = tuple[Tensor, ...] | list[Tensor]


def averaged(supernet: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of a supernet whose `update_parameters` moves it towards the original.

    After n updates the average keeps min(decay, (1 + n)/(10 + n)) of itself.

    Args:
        supernet: is copied.
        decay: of the average, from 0 to 1.
    """

    def move(averages: _Tensors, weights: _Tensors, updates: Tensor | int) -> None:
        count = float(updates)
        kept = min(decay, (1 + count) / (RAMP + count))
        get_ema_multi_avg_fn(kept)(averages, weights, updates)  # type: ignore[no-untyped-call]

    return AveragedModel(supernet, multi_avg_fn=move)
