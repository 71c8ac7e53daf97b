"""How much memory a process may still take."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

_MEMORY = Path("/proc/meminfo")
_OWN_GROUP = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
# The limit of a group, its usage, and what of that are files not used lately, as the two versions
# of Linux' control groups call them.
_FILES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
SHARE = 0.9  # of what is free that a step may take


def usable_memory(device: torch.device) -> float:
    """Return how many bytes a step may take; infinite where nothing tells."""
    free = free_memory(device)
    return float("inf") if free is None else SHARE * free


def free_memory(device: torch.device) -> int | None:
    """Return how many bytes are free; None where nothing tells.

    On a CPU it is what Linux has for new work, or what is left of the limit of a container if that
    is less.

    Args:
        device: a CUDA device, or the CPU.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + kept
    if device.type == "cpu":
        return min([*_of_system(), *_of_groups()], default=None)
    return None


def _of_system() -> Iterator[int]:
    for line in _lines(_MEMORY):
        if line.startswith("MemAvailable:"):
            yield 1024 * int(line.split()[1])


def _of_groups() -> Iterator[int]:
    """Yield what is left of each limit that this process is under."""
    for line in _lines(_OWN_GROUP):
        _, controllers, own = line.split(":", 2)
        root = _GROUPS / "memory" if "memory" in controllers.split(",") else _GROUPS
        path = root / own.lstrip("/")
        # In a container the path may be that outside of it; its limit is then the root's.
        for folder in (path, *path.parents):
            if folder.is_relative_to(root):
                yield from _of_group(folder)


def _of_group(folder: Path) -> Iterator[int]:
    for limit_name, usage_name, reclaimable in _FILES:
        limit, usage = _lines(folder / limit_name), _lines(folder / usage_name)
        if not (limit and usage and limit[0].isdigit() and usage[0].isdigit()):
            continue
        taken = int(usage[0])
        for line in _lines(folder / "memory.stat"):
            if line.startswith(f"{reclaimable} "):
                taken -= int(line.split()[1])
        yield max(int(limit[0]) - taken, 0)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
