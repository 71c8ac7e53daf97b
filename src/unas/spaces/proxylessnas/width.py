"""How wide a ProxylessNAS network may be under a limit of multiply-adds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import torch
from torch import nn

from unas.spaces._limits import MacsLimit

IMAGE_SIDE = 224  # of the images that the space is made for
STEPS = 100  # widths are whole numbers of hundredths


def largest_width(build: Callable[[float], nn.Module], limit: MacsLimit, most: int) -> float:
    """Return the largest width, in hundredths, whose network is below a limit.

    Args:
        build: returns the network of a width.
        limit: what the network stays below.
        most: the largest width to consider.

    Raises:
        UserError: even the narrowest network reaches the limit.
    """

    def macs(hundredths: int) -> int:
        with torch.device("meta"):
            return limit.count(build(hundredths / STEPS))

    # Rounded channels never fall as the width grows, and multiply-adds grow with them.
    widths = range(1, most * STEPS + 1)
    below = bisect_left(widths, limit.most, key=macs)
    if not below:
        raise limit.too_low(f"of width {1 / STEPS}", macs(1))
    return widths[below - 1] / STEPS
