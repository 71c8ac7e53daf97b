"""The blocks that cells are made of (DARTS, appendix A.1; SPEC of each in its docstring)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from unas.nn.depthwise import DepthwiseConv

OPERATIONS = (
    "skip_connect",
    "sep_conv_3x3",
    "max_pool_3x3",
    "dil_conv_3x3",
    "sep_conv_5x5",
    "avg_pool_3x3",
    "sep_conv_7x7",
)


def batch_norm(channels: int, *, searching: bool) -> nn.BatchNorm2d:
    """Return BatchNorm: in a search with batch statistics and no parameters, else the usual affine one."""
    return nn.BatchNorm2d(channels, affine=not searching, track_running_stats=not searching)


def _pointwise(channels_in: int, channels_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)


class ReLUConvBN(nn.Sequential):
    """ReLU, 1×1 convolution, BatchNorm: [B, C_in, H, W] to [B, C_out, H, W]."""

    def __init__(self, channels_in: int, channels_out: int, *, searching: bool) -> None:
        super().__init__(
            nn.ReLU(),
            _pointwise(channels_in, channels_out),
            batch_norm(channels_out, searching=searching),
        )


_SAFE_CHANNELS = 16


class FactorizedReduce(nn.Module):
    """Halve the resolution without losing every other pixel: [B, C_in, H, W] to [B, C_out, ⌈H/2⌉, ⌈W/2⌉].

    ReLU, two 1×1 stride-2 convolutions of half the channels each, the second on the input shifted
    by one pixel, concatenation, BatchNorm. An odd size is padded with zeros, so both halves have
    ⌈H/2⌉ rows.
    """

    def __init__(self, channels_in: int, channels_out: int, *, searching: bool) -> None:
        super().__init__()
        # oneDNN's weight gradient of a strided 1×1 convolution of few channels writes outside its
        # memory (uxlfoundation/oneDNN#6035), so there the pixels are taken first.
        self.taken = 1 if channels_in >= _SAFE_CHANNELS else 2
        self.even = _pointwise(channels_in, channels_out // 2, stride=2 // self.taken)
        self.odd = _pointwise(channels_in, channels_out - channels_out // 2, stride=2 // self.taken)
        self.bn = batch_norm(channels_out, searching=searching)

    def forward(self, images: Tensor) -> Tensor:
        """Return the reduced images."""
        active = images.relu()
        shifted = active[:, :, 1:, 1:]
        if images.shape[2] % 2 or images.shape[3] % 2:
            shifted = nn.functional.pad(shifted, (0, images.shape[3] % 2, 0, images.shape[2] % 2))
        every = self.taken
        halves = [
            self.even(active[:, :, ::every, ::every]),
            self.odd(shifted[:, :, ::every, ::every]),
        ]
        return self.bn(torch.cat(halves, 1))  # type: ignore[no-any-return]


class SeparableConv(nn.Sequential):
    """Twice: ReLU, depthwise k×k, pointwise, BatchNorm; the stride is in the first depthwise convolution."""

    def __init__(self, channels: int, kernel: int, stride: int, *, searching: bool) -> None:
        super().__init__(
            nn.ReLU(),
            DepthwiseConv(channels, kernel, stride),
            _pointwise(channels, channels),
            batch_norm(channels, searching=searching),
            nn.ReLU(),
            DepthwiseConv(channels, kernel),
            _pointwise(channels, channels),
            batch_norm(channels, searching=searching),
        )


class DilatedConv(nn.Sequential):
    """ReLU, depthwise 3×3 of dilation 2, pointwise, BatchNorm."""

    def __init__(self, channels: int, stride: int, *, searching: bool) -> None:
        super().__init__(
            nn.ReLU(),
            DepthwiseConv(channels, 3, stride, dilation=2),
            _pointwise(channels, channels),
            batch_norm(channels, searching=searching),
        )


_BUILDERS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    "skip_connect": lambda c, s, q: (
        nn.Identity() if s == 1 else FactorizedReduce(c, c, searching=q)
    ),
    "sep_conv_3x3": lambda c, s, q: SeparableConv(c, 3, s, searching=q),
    "max_pool_3x3": lambda _c, s, _q: nn.MaxPool2d(3, s, 1),
    "dil_conv_3x3": lambda c, s, q: DilatedConv(c, s, searching=q),
    "sep_conv_5x5": lambda c, s, q: SeparableConv(c, 5, s, searching=q),
    "avg_pool_3x3": lambda _c, s, _q: nn.AvgPool2d(3, s, 1, count_include_pad=False),
    "sep_conv_7x7": lambda c, s, q: SeparableConv(c, 7, s, searching=q),
}


def build_operation(name: str, channels: int, stride: int, *, searching: bool) -> nn.Module:
    """Return one of `OPERATIONS`: [B, C, H, W] to [B, C, ⌈H/stride⌉, ⌈W/stride⌉]."""
    return _BUILDERS[name](channels, stride, searching)
