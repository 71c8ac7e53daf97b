"""Peak activation memory of the deployed network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unas.graphs.memory import peak_memory
from unas.objectives._counted import CountedTerm


@dataclass(frozen=True)
class MemoryTerm(CountedTerm):
    """How far the peak activation memory of one image is over a limit.

    Args:
        limit: in bytes.
    """

    quantity: ClassVar[str] = "memory"
    log_unit: ClassVar[str] = "bytes"
    is_sum: ClassVar[bool] = False  # a peak is none

    def count(self, network: nn.Module, image_shape: tuple[int, int, int]) -> float:
        """See `CountedTerm`."""
        return peak_memory(network, image_shape)
