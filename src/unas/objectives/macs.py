"""Multiply-adds of the deployed network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unas.graphs.size import count_macs
from unas.objectives._counted import CountedTerm


@dataclass(frozen=True)
class MacsTerm(CountedTerm):
    """How far the multiply-adds of convolutions and linear layers for one image are over a limit.

    Args:
        limit: how many multiply-adds.
    """

    quantity: ClassVar[str] = "macs"

    def count(self, network: nn.Module, image_shape: tuple[int, int, int]) -> float:
        """See `CountedTerm`."""
        return count_macs(network, image_shape)
