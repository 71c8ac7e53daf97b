"""Which layout of the images a user's own model computes faster with on this CPU."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import torch

from unas.compute.ranks import Ranks
from unas.spaces.module import ModuleSupernet

LEAST_SECONDS = 0.05
"""A pass that takes less is not worth a trial, and its clock is mostly noise."""
CONTIGUOUS_GAINS = 0.9
"""Contiguous images must take less than this share of the time of those with channels last."""
_ROUNDS = 2
_log = logging.getLogger("unas")


def settle_layout(supernet: ModuleSupernet, run: Callable[[], object], ranks: Ranks) -> None:
    """Let the supernet compute with the faster layout of its images, and log which one it is.

    Where a pass is short, the images stay as they come. All processes settle on the same layout.

    Args:
        supernet: its buffers are afterwards as they were before.
        run: a forward and a backward pass of it.
        ranks: the processes that search together.
    """
    buffers = [(buffer, buffer.clone()) for buffer in supernet.buffers()]
    try:
        supernet.layout = "channels_last"
        last = ranks.largest(_seconds(run))
        if last < LEAST_SECONDS:
            supernet.layout = None
            return
        supernet.layout = "contiguous"
        contiguous = ranks.largest(_seconds(run))
    finally:
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
    if contiguous >= CONTIGUOUS_GAINS * last:
        supernet.layout = "channels_last"
    _log.info(
        "layout of the images: %s (forward and backward: channels_last %.2f s, contiguous %.2f s)",
        supernet.layout,
        last,
        contiguous,
    )


def _seconds(run: Callable[[], object]) -> float:
    run()
    rounds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        run()
        rounds.append(time.perf_counter() - start)
    return min(rounds)
