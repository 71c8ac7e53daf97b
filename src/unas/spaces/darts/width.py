"""How wide a DARTS network may be under a limit of multiply-adds (DARTS, section 3.3)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import torch
from torch import nn

from unas.common.errors import UserError
from unas.graphs.size import count_macs

IMAGE_SIDES = {"cifar": 32, "imagenet": 224}  # of the images that each stem is made for


def largest_channels(
    build: Callable[[int], nn.Module], max_macs: int, image_channels: int, stem: str, most: int
) -> int:
    """Return the largest even C whose network has fewer than `max_macs` multiply-adds.

    Two counts are enough: every width in the network is a multiple of C/2, or is given by the
    images or the classes, so the multiply-adds are exactly a·C² + b·C, here interpolated in n =
    C/2.

    Args:
        build: returns the network of C channels.
        max_macs: the limit, which the network stays below.
        image_channels: channels of the image that is counted for; its size is that of the stem.
        stem: "cifar" or "imagenet".
        most: the largest C to consider.

    Raises:
        UserError: even the narrowest network reaches the limit.
    """
    side = IMAGE_SIDES[stem]
    with torch.device("meta"):
        macs_of_2 = count_macs(build(2), (image_channels, side, side))
        macs_of_4 = count_macs(build(4), (image_channels, side, side))

    def macs(half: int) -> int:
        return half * macs_of_2 + half * (half - 1) // 2 * (macs_of_4 - 2 * macs_of_2)

    halves = range(1, most // 2 + 1)
    below = bisect_left(halves, max_macs, key=macs)
    if not below:
        raise UserError(
            f"network.max_macs is {max_macs:,}, but the narrowest network, of 2 channels, has "
            f"{macs_of_2:,} multiply-adds for an image of {side}×{side}; "
            "raise it, or lower network.layers"
        )
    return 2 * halves[below - 1]
