"""The blocks that cells are made of (DARTS, appendix A.1)."""

from __future__ import annotations

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

# From so many channels on, oneDNN's gradient of a strided 1×1 convolution is safe.
_SAFE_CHANNELS = 16


def batch_norm(channels: int, *, searching: bool) -> nn.BatchNorm2d:
    """Return affine BatchNorm; in a search one with batch statistics and no parameters."""
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


class FactorizedReduce(nn.Module):
    """Halve the resolution without losing every other pixel.

    It maps [B, C_in, H, W] to [B, C_out, ⌈H/2⌉, ⌈W/2⌉]: ReLU, two 1×1 convolutions of stride 2 and
    half the channels each, the second on the input shifted by one pixel, concatenation, BatchNorm.
    An odd size is padded with zeros, so both halves have ⌈H/2⌉ rows.
    """

    def __init__(self, channels_in: int, channels_out: int, *, searching: bool) -> None:
        super().__init__()
        # oneDNN's weight gradient of a strided 1×1 convolution of few channels writes outside its
        # memory (uxlfoundation/oneDNN#6035), so there every other pixel is taken first.
        self.step = 1 if channels_in >= _SAFE_CHANNELS else 2
        stride = 2 // self.step
        self.even = _pointwise(channels_in, channels_out // 2, stride=stride)
        self.odd = _pointwise(channels_in, channels_out - channels_out // 2, stride=stride)
        self.bn = batch_norm(channels_out, searching=searching)

    def forward(self, images: Tensor) -> Tensor:
        """Return the reduced images."""
        active = images.relu()
        shifted = active[:, :, 1:, 1:]
        if images.shape[2] % 2 or images.shape[3] % 2:
            shifted = nn.functional.pad(shifted, (0, images.shape[3] % 2, 0, images.shape[2] % 2))
        even = self.even(active[:, :, :: self.step, :: self.step])
        odd = self.odd(shifted[:, :, :: self.step, :: self.step])
        return self.bn(torch.cat([even, odd], 1))  # type: ignore[no-any-return]


class SeparableConv(nn.Sequential):
    """Twice: ReLU, depthwise k×k, pointwise, BatchNorm.

    The stride is in the first depthwise convolution.
    """

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


def build_operation(name: str, channels: int, stride: int, *, searching: bool) -> nn.Module:
    """Return one of `OPERATIONS`: [B, C, H, W] to [B, C, ⌈H/stride⌉, ⌈W/stride⌉].

    Args:
        name: one of `OPERATIONS`.
        channels: C.
        stride: 1 or 2.
        searching: BatchNorm is that of a search; see `batch_norm`.
    """
    match name:
        case "skip_connect" if stride == 1:
            return nn.Identity()
        case "skip_connect":
            return FactorizedReduce(channels, channels, searching=searching)
        case "sep_conv_3x3" | "sep_conv_5x5" | "sep_conv_7x7":
            return SeparableConv(channels, int(name[-1]), stride, searching=searching)
        case "dil_conv_3x3":
            return DilatedConv(channels, stride, searching=searching)
        case "max_pool_3x3":
            return nn.MaxPool2d(3, stride, 1)
        case "avg_pool_3x3":
            return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    raise KeyError(name)
