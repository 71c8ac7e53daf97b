"""Whether a step of the search fits into the memory that is free, and what is done where not."""

from __future__ import annotations

from dataclasses import replace

import torch

from unas.common.text import readable_size
from unas.compute.free_memory import free_memory
from unas.compute.ranks import ONE_PROCESS
from unas.compute.runtime import Runtime
from unas.compute.torchrun import local_size
from unas.config import Config
from unas.data import DataSize
from unas.pipeline.estimate import most_memory_of_search, of_search
from unas.runs.progress import say

SHARE = 0.9  # of what is free that a step may take
MOST_A_PIXEL = 2**20  # bytes; a DARTS supernet of 8 cells with 16 channels takes 66 KiB on a CPU


def with_room(config: Config, data: DataSize, runtime: Runtime, *, quiet: bool) -> Runtime:
    """Return the runtime in which a step of the search fits into memory, if there is one.

    Where a step would need more than is free, parts of the supernet are computed again in the
    backward. What is done is said, and what doesn't fit even so. All processes do the same.

    Args:
        config: the run.
        data: says what shape the images have.
        runtime: where it computes.
        quiet: say nothing.
    """
    free = free_memory(runtime.device)
    if free is None or config.runtime.recompute != "auto":
        return runtime
    ranks = runtime.ranks
    if runtime.device.type == "cpu":
        free //= local_size()
    config = _of_one_process(config, runtime)
    alone = replace(runtime, ranks=ONE_PROCESS)

    def is_short(needed: float) -> bool:
        return ranks.largest(needed - SHARE * free) > 0

    # A whole estimate takes seconds; few searches need one.
    if not is_short(_most(config, data)):
        return runtime
    with torch.random.fork_rng([runtime.device] if runtime.device.type == "cuda" else []):
        if not is_short(most_memory_of_search(config, data, alone)):
            return runtime
        needed = of_search(config, data, alone).memory_bytes
        if not is_short(needed):
            return runtime
        less = of_search(config, data, replace(alone, recomputes=True)).memory_bytes
    is_less = ranks.largest(less - needed) < 0
    line = f"a step of the search needs {_size(needed)} of memory, and {_size(free)} are free"
    if is_less:
        line += (
            f": parts of the supernet are computed again in the backward, which needs "
            f"{_size(less)} and more time"
        )
    if not is_less or is_short(less):
        line += "; the system may stop it for want of memory: lower search.batch_size"
    say(line, quiet=quiet)
    return replace(runtime, recomputes=is_less)


def _most(config: Config, data: DataSize) -> int:
    """Return more bytes than the step of any supernet takes that could be trained at all."""
    _, height, width = data.image_shape
    return config.search.batch_size * height * width * MOST_A_PIXEL


def _of_one_process(config: Config, runtime: Runtime) -> Config:
    """Return the configuration of what one of the processes does in a step."""
    search, ranks = config.search, runtime.ranks
    batch = search.batch_size // ranks.size
    architectures = search.num_architectures(search.batch_size) // ranks.size
    own = replace(
        search,
        batch_size=batch,
        architectures_per_batch=architectures,
        balanced=search.balanced and architectures > 1,  # of one it would be refused
    )
    return replace(config, search=own)


def _size(num_bytes: float) -> str:
    return readable_size(round(num_bytes))
