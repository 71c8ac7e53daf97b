"""Searches whose supernet gives each architecture the losses that a test wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tiny import tiny_recipe
from unas.architecture.genotype import Genotype
from unas.architecture.policy import Sample
from unas.compute.ranks import ONE_PROCESS, Ranks
from unas.compute.runtime import RuntimeConfig
from unas.searching.losses import Losses
from unas.searching.step import SearchStep

# From an architecture and the numbers of images to their losses, all above 0.
Planted = Callable[[Genotype, Tensor], Tensor]


def a_search(ranks: Ranks = ONE_PROCESS) -> SearchStep:
    """Return a search of the tiny recipe with a random policy."""
    config = tiny_recipe()
    runtime = replace(RuntimeConfig(device="cpu").build(), ranks=ranks)
    search = SearchStep(config.space, config.search, 10, 1, runtime, seed=2)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for logits in search.policy.logits.values():
            logits.copy_(torch.randn(logits.shape, generator=generator))
    return search


def numbered(count: int, size: int) -> list[tuple[Tensor, Tensor]]:
    """Return batches of images that are their own numbers, all of class 0."""
    numbers = torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1)
    return [
        (images, torch.zeros(len(images), dtype=torch.long))
        for images in torch.split(numbers, size)
    ]


def plant(patch: pytest.MonkeyPatch, losses: Planted) -> list[tuple[Genotype, int]]:
    """Let every supernet give these losses; return what will be evaluated, by (architecture, images)."""
    evaluated: list[tuple[Genotype, int]] = []

    def logits(_: Any, images: Tensor, sample: Sample) -> Tensor:
        (genotype,) = sample.genotypes()
        evaluated.append((genotype, len(images)))
        # Of logits 0 and x, the cross-entropy of the first class is log(1 + e^x).
        planted = losses(genotype, images.flatten(1)[:, 0].double())
        return torch.stack([torch.zeros_like(planted), planted.expm1().log()], 1)

    patch.setattr(Losses, "logits", logits)
    return evaluated


def key_of(genotype: Genotype) -> float:
    """Return a number from 0 to 1 that is an architecture's own."""
    total = 0
    for position, option in enumerate(genotype.choices.values()):
        total = (31 * total + 17 * position + sum(map(ord, option))) % 9973
    return total / 9973


def noise_of(genotype: Genotype, numbers: Tensor) -> Tensor:
    """Return noise of mean 0 and deviation 1, another for each architecture and image."""
    generator = torch.Generator().manual_seed(int(1e6 * key_of(genotype)))
    return torch.randn(4096, generator=generator, dtype=torch.float64)[numbers.long()]
