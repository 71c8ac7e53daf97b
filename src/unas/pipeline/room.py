"""Whether a step of the search fits into the memory that is free, and what is done where not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch

from unas.common.text import readable_size
from unas.compute.free_memory import usable_memory
from unas.compute.ranks import ONE_PROCESS
from unas.compute.runtime import Runtime
from unas.compute.torchrun import local_size
from unas.config import Config
from unas.data import DataSize
from unas.nn.lease import give_back
from unas.nn.recomputation import recompute_parts
from unas.pipeline.estimate import Estimate, most_memory_of_search, of_search
from unas.runs.progress import say
from unas.spaces import without_memory

MOST_A_PIXEL = 2**20  # bytes; a DARTS supernet of 8 cells with 16 channels takes 66 KiB on a CPU


class Room(NamedTuple):
    """Where a step of the search fits.

    Args:
        runtime: where it does, if it does anywhere.
        estimate: of a step of this process in it; None where none was needed.
    """

    runtime: Runtime
    estimate: Estimate | None = None


def with_room(config: Config, data: DataSize, runtime: Runtime, *, quiet: bool) -> Room:
    """Find the runtime in which a step of the search fits into memory.

    Where a step would need more than is free, parts of the supernet are computed again in the
    backward. What is done is said, and what doesn't fit even so. All processes do the same.

    Args:
        config: the run.
        data: says what shape the images have.
        runtime: where it computes.
        quiet: say nothing.
    """
    if config.runtime.recompute != "auto":
        return Room(runtime)
    ranks = runtime.ranks
    give_back()  # what an earlier search has left is free
    usable = usable_memory(runtime.device)
    if runtime.device.type == "cpu" and ranks.size > 1:
        usable /= local_size()
    usable = -ranks.largest(-usable)
    own = _of_one_process(config, runtime)
    # Most searches need no trial, and few a whole estimate, which takes seconds.
    if _bytes_of_images(own, data) <= usable:
        return Room(runtime)
    alone = replace(runtime, ranks=ONE_PROCESS)
    with torch.random.fork_rng([runtime.device] if runtime.device.type == "cuda" else []):
        if ranks.largest(most_memory_of_search(own, data, alone)) <= usable:
            return Room(runtime)
        estimate = of_search(own, data, alone)
        needed = ranks.largest(estimate.memory_bytes)
        if needed <= usable:
            return Room(runtime, estimate)
        recomputed = estimate
        if _has_parts(config, data):
            recomputed = of_search(own, data, replace(alone, recomputes=True))
        less = ranks.largest(recomputed.memory_bytes)
    give_back()
    line = f"a step of the search needs {_size(needed)} of memory, and may take {_size(usable)}"
    if less < needed:
        line += (
            f": parts of the supernet are computed again in the backward, which needs "
            f"{_size(less)} and more time"
        )
    if min(less, needed) > usable:
        line += "; the system may stop it for want of memory: lower search.batch_size"
    say(line, quiet=quiet)
    if less < needed:
        return Room(replace(runtime, recomputes=True), recomputed)
    return Room(runtime, estimate)


def _has_parts(config: Config, data: DataSize) -> bool:
    """Return whether anything in the supernet can be computed again."""
    build = partial(config.space.supernet, data.num_classes, data.image_shape[0])
    return recompute_parts(without_memory(build))


def _bytes_of_images(config: Config, data: DataSize) -> int:
    """Return more than what a step keeps of its images in any supernet that is at all usual."""
    _, height, width = data.image_shape
    return config.search.batch_size * height * width * MOST_A_PIXEL


def _of_one_process(config: Config, runtime: Runtime) -> Config:
    """Return the configuration of what one of the processes does in a step."""
    search, ranks = config.search, runtime.ranks
    batch = search.batch_size // ranks.size
    architectures = search.num_architectures(search.batch_size) // ranks.size
    own = replace(
        search,
        estimator=search.estimator.fitted_to(architectures),  # it compares those of all processes
        batch_size=batch,
        architectures_per_batch=architectures,
        balanced=search.balanced and architectures > 1,  # of one it would be refused
    )
    return replace(config, search=own)


def _size(num_bytes: float) -> str:
    return readable_size(round(num_bytes))
