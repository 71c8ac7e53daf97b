"""Memory that is used again: a step needs the same blocks as the one before it.

The system hands out large blocks page by page, each of which costs as much as filling it.
"""

from __future__ import annotations

import threading
from collections import defaultdict

import torch
from torch import Tensor

_free: dict[tuple[int, torch.dtype], list[Tensor]] = defaultdict(list)
_lock = threading.Lock()


class Lease:
    """A block of numbers, given back when nobody holds it any longer.

    Args:
        block: the block.
    """

    def __init__(self, block: Tensor) -> None:
        self._block = block

    @property
    def address(self) -> int:
        """Where its first number is."""
        return self._block.data_ptr()

    def __del__(self) -> None:
        with _lock:
            _free[self._block.numel(), self._block.dtype].append(self._block)


def lease(count: int, dtype: torch.dtype = torch.float32) -> Lease:
    """Return a block of at least `count` numbers, whatever they are."""
    size = _rounded(count)
    with _lock:
        blocks = _free[size, dtype]
        block = blocks.pop() if blocks else None
    return Lease(torch.empty(size, dtype=dtype) if block is None else block)


def give_back() -> None:
    """Give all free blocks back to the system."""
    with _lock:
        _free.clear()


def _rounded(count: int) -> int:
    """Return the next size that blocks have, so that blocks of similar sizes are the same ones."""
    step = max(1 << max(count.bit_length() - 1, 0) >> 2, 1024)
    return -(-count // step) * step
