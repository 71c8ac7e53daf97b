"""What a dry run says that a step takes, and what it takes, in a process of its own.

Prints both as JSON, in bytes, of searches the medians of three: `python -m estimated_memory relaxed`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import torch

import unas
from unas.compute.peak_memory import peak_memory
from unas.config import Config
from unas.costs.blocks import random_genotypes
from unas.data import DataSize
from unas.estimators.reinforce import Reinforce
from unas.nn.lease import give_back
from unas.pipeline import estimate
from unas.pipeline.estimate import of_search, of_training, sizes
from unas.searching.config import SearchConfig
from unas.searching.step import SearchStep
from unas.training import TrainingStep

DIGITS = DataSize(train=1437, test=360, num_classes=10, image_shape=(1, 8, 8))
CPU = torch.device("cpu")
ROUNDS = 3
SEARCHES: Mapping[str, dict[str, Any]] = {
    "relaxed": {},
    "hard": {"estimator": Reinforce(), "weights_on": "hard"},
}


def digits(**search: Any) -> Config:
    recipe = unas.recipe("digits")
    usual = SearchConfig(batch_size=64, architectures_per_batch=8)
    of_images = {name: term for name, term in usual.objectives.items() if name != "overlap"}
    changed = replace(usual, objectives=of_images, **search)
    return replace(recipe, search=changed, runtime=replace(recipe.runtime, device="cpu"))


def memory_of(config: Config) -> int:
    """Return the bytes that a search takes for a few steps."""
    batch = config.search.batch_size
    x, x_val = torch.randn(2, batch, 1, 8, 8)
    y, y_val = torch.randint(0, 10, (2, batch))
    runtime = config.runtime.build()
    # Kernels are made for each size, which is no step's memory.
    SearchStep(config.space, config.search, 10, 1, runtime)(x, y, x_val, y_val)
    give_back()
    with peak_memory(CPU) as peak_bytes:
        step = SearchStep(config.space, config.search, 10, 1, runtime)
        for _ in range(3):
            step(x, y, x_val, y_val)
        return peak_bytes()


def of_a_search(changes: Mapping[str, Any]) -> tuple[float, float]:
    """Return what is said from steps of at most 64 of 256 images, and what all take."""
    # As if larger steps took too long.
    estimate.sizes = lambda *batch: sizes(*batch)[:-2]  # type: ignore[assignment]
    config = digits(batch_size=256, **changes)
    said = of_search(config, DIGITS, config.runtime.build())
    if said.tried != "4 and 64":
        raise SystemExit(f"{said.tried} images were tried")
    return said.memory_bytes, memory_of(config)


def of_a_training() -> tuple[float, float]:
    """Return what is said of a training, and what a few steps take."""
    config = digits()
    (genotype,) = random_genotypes(config.space, 1, np.random.default_rng(0))
    runtime = config.runtime.build()
    said = of_training(config, DIGITS, runtime, genotype)
    if said.tried != "64":
        raise SystemExit(f"{said.tried} images were tried")
    network = config.blueprint(10, (1, 8, 8)).network(genotype)
    x, y = torch.randn(64, 1, 8, 8), torch.randint(0, 10, (64,))
    with peak_memory(CPU) as peak_bytes:
        step = TrainingStep(network, config.training, runtime, 0, 1)
        for _ in range(3):
            step(0, x, y)
        return said.memory_bytes, peak_bytes()


def main(what: str) -> None:
    """Print both figures of a search by its name, or of a training."""
    torch.manual_seed(0)
    estimate.LONG_SECONDS = 10.0  # whatever else the machine does
    if what == "training":
        print(json.dumps(of_a_training()))
        return
    # What Linux counts of a process comes and goes by a tenth, and an estimate is an extrapolation.
    said, taken = zip(*(of_a_search(SEARCHES[what]) for _ in range(ROUNDS)), strict=True)
    print(json.dumps([median(said), median(taken)]))


if __name__ == "__main__":
    main(sys.argv[1])
