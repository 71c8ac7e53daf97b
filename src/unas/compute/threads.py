"""How many CPU threads PyTorch uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

MAX_THREADS = 1024  # PyTorch starts as many as it is asked for


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Let PyTorch use this many CPU threads for a while; None changes nothing."""
    if threads is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
