"""How much memory a block takes at most, on any device."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from unas.compute.live_memory import LiveMemory

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_PEAK = "5"  # what clears the peak alone (proc(5))


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Callable[[], int]]:
    """Measure the block; what is given returns its peak, in bytes beyond those before it.

    On a CUDA device it is what PyTorch's allocator gave out. On a CPU it is what Linux counts of
    this process, so what kernels need for themselves and gaps between tensors are in it; elsewhere
    it is that of tensors alone, which slows operators down.

    Args:
        device: where the block computes.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield lambda: torch.cuda.max_memory_allocated(device) - before
    elif device.type == "cpu" and _forget_peak():
        before = _of_process("VmRSS")
        yield lambda: _of_process("VmHWM") - before
    else:
        with LiveMemory() as memory:
            yield lambda: memory.peak_bytes


def _forget_peak() -> bool:
    """Let the peak of this process begin anew, and return whether the system can do that."""
    # What the allocator keeps for later would hide what the block takes again.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return False
    trim(0)
    try:
        _CLEAR.write_text(_PEAK)
        _of_process("VmHWM")
    except (OSError, StopIteration):
        return False
    return True


def _of_process(name: str) -> int:
    """Return a figure of this process, in bytes."""
    lines = _STATUS.read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])
