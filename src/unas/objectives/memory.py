"""Peak activation memory of the deployed network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unas.objectives._counted import CountedTerm


@dataclass(frozen=True)
class MemoryTerm(CountedTerm):
    """How far the peak activation memory of one image, in bytes, is over a limit.

    Args:
        limit: bytes.
    """

    quantity: ClassVar[str] = "memory"
