"""A limit of multiply-adds that decides how wide a network is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from torch import nn

from unas.common.errors import UserError
from unas.graphs.counting import Counting, count_by


def check_limit(field: str, width: object, max_macs: int | None, counting: Counting) -> None:
    """Check that a width is given or decided by a limit, and not both.

    Args:
        field: the name of the width among the network's options.
        width: its value; None to let the limit decide.
        max_macs: the limit; None for none.
        counting: the rule that the limit is counted by.

    Raises:
        UserError: both or none are given, or the limit or its rule is none.
    """
    if (width is None) == (max_macs is None):
        raise UserError(
            f"network.{field} is {width} and network.max_macs {max_macs}; "
            "give one of them, and none for the other"
        )
    if max_macs is not None and not (isinstance(max_macs, int) and max_macs >= 1):
        raise UserError(f"network.max_macs is {max_macs!r}; it must be a whole number, 1 or more")
    if counting not in get_args(Counting):
        known = " or ".join(get_args(Counting))
        raise UserError(f"network.counting is {counting!r}; it must be {known}")


@dataclass(frozen=True)
class MacsLimit:
    """The multiply-adds that a network must stay below.

    Args:
        most: the limit.
        counting: the rule that it is counted by.
        image_shape: (C, H, W) of the image that it is counted for.
    """

    most: int
    counting: Counting
    image_shape: tuple[int, int, int]

    def count(self, network: nn.Module) -> int:
        """Return what the limit is compared with."""
        return count_by(self.counting, network, self.image_shape)

    def too_low(self, narrowest: str, macs: int) -> UserError:
        """Return the error for a limit that even the narrowest network reaches.

        Args:
            narrowest: which network that is.
            macs: what it was counted at.
        """
        return UserError(
            f"network.max_macs is {self.most:,}, but the narrowest network, {narrowest}, has "
            f"{macs:,} multiply-adds ({self._how}); raise it"
        )

    def describe(self, width: str, network: nn.Module) -> str:
        """Return the width that was decided, with its figure by each rule, on one line.

        Args:
            width: the width, such as "C = 46".
            network: the network that has it, on any device.
        """
        figures = [
            f"{count_by(rule, network, self.image_shape):,} (counting: {rule})"
            for rule in get_args(Counting)
        ]
        return (
            f"{width}, the largest below {self.most:,} multiply-adds ({self._how}); "
            f"it has {', '.join(figures)}"
        )

    @property
    def _how(self) -> str:
        return f"counting: {self.counting}, an image of {self.image_shape[1]}×{self.image_shape[2]}"
