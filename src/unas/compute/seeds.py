"""Randomness by counting: what is random at a step depends on seed, stream and step alone."""

from __future__ import annotations

import hashlib
import json

import torch


def step_seed(seed: int, stream: str, step: int) -> int:
    """Return the seed of `step` in the stream called `stream`, 0 ≤ result < 2**63.

    A run that is resumed at a step needs no generator state: it asks for the seed again.

    Args:
        seed: the run's seed.
        stream: what the numbers are for; different streams of one run share nothing.
        step: a number of whatever the stream counts (steps, epochs).
    """
    key = json.dumps([int(seed), stream, int(step)]).encode()
    digest = hashlib.blake2b(key, digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1  # 63 bits, which fit a signed integer


def generator_for(seed: int, stream: str, step: int) -> torch.Generator:
    """Return a fresh CPU generator for `step` in the stream called `stream`.

    It lives on the host on every device, so that a run draws the same numbers on each of them.
    (PyTorch's CPU generator takes the low 32 bits of a seed: two given steps share their numbers
    with probability 2**-32.)
    """
    return torch.Generator().manual_seed(step_seed(seed, stream, step))
