"""The layers of the ProxylessNAS space and the operations that each may be."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import nn

from unas.nn.mbconv import MBConv

STEM_WIDTH, FIRST_WIDTH, HEAD_WIDTH = 40, 24, 1728
_WIDTHS = (32,) * 4 + (56,) * 4 + (112,) * 4 + (128,) * 4 + (256,) * 4 + (432,)
_REDUCTIONS = (1, 5, 9, 17)

SKIP = "skip"
MBCONVS = (
    "mbconv_3x3_e3",
    "mbconv_3x3_e6",
    "mbconv_5x5_e3",
    "mbconv_5x5_e6",
    "mbconv_7x7_e3",
    "mbconv_7x7_e6",
)


@dataclass(frozen=True)
class Layer:
    """One searched layer.

    Args:
        name: the name of its choice.
        channels_in: channels of its input.
        channels_out: channels of its output.
        stride: 2 halves the resolution.
        options: the names of what it may be.
    """

    name: str
    channels_in: int
    channels_out: int
    stride: int
    options: tuple[str, ...]

    def build(self, option: str, *, searching: bool) -> nn.Module:
        """Return one of the options.

        It maps [B, channels_in, H, W] to [B, channels_out, ⌈H/stride⌉, ⌈W/stride⌉].
        """
        if option == SKIP:
            return nn.Identity()
        kernel, expansion = re.findall(r"\d+", option)[1:]
        return MBConv(
            self.channels_in,
            self.channels_out,
            int(kernel),
            int(expansion),
            self.stride,
            searching=searching,
        )


def scaled(channels: int, width: float) -> int:
    """Return a number of channels times the width multiplier, rounded, 1 or more."""
    return max(1, round(channels * width))


def layers(width: float = 1.0) -> tuple[Layer, ...]:
    """Return the 21 searched layers in order; those that keep their width may also be skipped."""
    searched = []
    before = FIRST_WIDTH
    for number, channels in enumerate(_WIDTHS, 1):
        options = (SKIP, *MBCONVS) if channels == before else MBCONVS
        stride = 2 if number in _REDUCTIONS else 1
        channels_in = scaled(before, width)
        channels_out = scaled(channels, width)
        searched.append(Layer(f"layer{number}", channels_in, channels_out, stride, options))
        before = channels
    return tuple(searched)
