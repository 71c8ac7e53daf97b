"""How wide a DARTS network may be under a limit of multiply-adds (DARTS, section 3.3)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import torch
from torch import nn

from unas.spaces._limits import MacsLimit

IMAGE_SIDES = {"cifar": 32, "imagenet": 224}  # of the images that each stem is made for


def largest_channels(build: Callable[[int], nn.Module], limit: MacsLimit, most: int) -> int:
    """Return the largest even C whose network is below a limit.

    Two counts are enough: every width in the network is a multiple of C/2, or is given by the
    images or the classes, so the multiply-adds are exactly a·C² + b·C by either rule, here
    interpolated in n = C/2.

    Args:
        build: returns the network of C channels.
        limit: what the network stays below.
        most: the largest C to consider.

    Raises:
        UserError: even the narrowest network reaches the limit.
    """
    with torch.device("meta"):
        macs_of_2 = limit.count(build(2))
        macs_of_4 = limit.count(build(4))

    def macs(half: int) -> int:
        return half * macs_of_2 + half * (half - 1) // 2 * (macs_of_4 - 2 * macs_of_2)

    halves = range(1, most // 2 + 1)
    below = bisect_left(halves, limit.most, key=macs)
    if not below:
        raise limit.too_low("of 2 channels", macs_of_2)
    return 2 * halves[below - 1]
