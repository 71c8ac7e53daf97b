"""What a dry run says of a step, beside the step."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import unas
from unas.compute.peak_memory import peak_memory
from unas.compute.runtime import Runtime
from unas.config import Config
from unas.costs.blocks import random_genotypes
from unas.data import DataSize
from unas.estimators.reinforce import Reinforce
from unas.nn.lease import give_back
from unas.pipeline import estimate
from unas.pipeline.estimate import Size, Step, extended, of_search, of_training, sizes
from unas.searching.config import SearchConfig
from unas.searching.step import SearchStep
from unas.training import TrainingStep

DIGITS = DataSize(train=1437, test=360, num_classes=10, image_shape=(1, 8, 8))
CPU = torch.device("cpu")


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


HARD = {"estimator": Reinforce(), "weights_on": "hard"}


@pytest.mark.parametrize("search", [{}, HARD], ids=["relaxed", "hard"])
def test_memory_is_near_that_of_the_steps(
    search: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = digits(batch_size=256, **search)
    # As if larger steps took too long, whatever else the machine does.
    monkeypatch.setattr(estimate, "LONG_SECONDS", 10.0)
    monkeypatch.setattr(estimate, "sizes", lambda *batch: sizes(*batch)[:-2])
    said = of_search(config, DIGITS, config.runtime.build())
    assert said.tried == "4 and 64"
    assert said.memory_bytes == pytest.approx(memory_of(config), rel=0.2)


def test_a_short_step_is_tried_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    config = digits()
    monkeypatch.setattr(estimate, "LONG_SECONDS", 10.0)
    said = of_search(config, DIGITS, config.runtime.build())
    assert said.tried == "64"


class Clock:
    """A clock that planted steps move on."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def step(self, size: Size) -> float:
        """Return what a step takes: all architectures are there from 8 on."""
        return 0.05 * min(size.architectures, 8) + 0.01 * size.images


@pytest.mark.parametrize("batch", [16, 64, 512, 4096])
def test_a_planted_time_is_found(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def make(size: Size) -> Step:
        def step() -> None:
            clock.seconds += clock.step(size)

        return step

    monkeypatch.setattr(time, "perf_counter", lambda: clock.seconds)
    said = extended(make, sizes(batch, 8), batch, Runtime(CPU, torch.float32))
    assert said.seconds == pytest.approx(clock.step(Size(batch, 8)))


def test_sizes_end_with_the_batch() -> None:
    assert sizes(64, 8)[-3:] == [Size(16, 8), Size(32, 8), Size(64, 8)]
    assert sizes(8, 8) == [Size(2, 2), Size(4, 4), Size(8, 8)]
    assert sizes(192, 8)[:4] == [Size(4, 2), Size(8, 4), Size(16, 8), Size(32, 8)]
    assert sizes(6, 1) == [Size(2), Size(4), Size(6)]
    assert sizes(1, 1) == [Size(1)]
    for batch in range(1, 40):
        for architectures in range(1, batch + 1):
            if batch % architectures == 0:
                grown = sizes(batch, architectures)
                assert grown[-1] == Size(batch, architectures)
                images = [size.images for size in grown]
                assert images == sorted(set(images))
                assert all(size.images % size.architectures == 0 for size in grown)


def test_an_estimate_of_a_training_is_near_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    config = digits()
    monkeypatch.setattr(estimate, "LONG_SECONDS", 10.0)
    (genotype,) = random_genotypes(config.space, 1, np.random.default_rng(0))
    runtime = config.runtime.build()
    said = of_training(config, DIGITS, runtime, genotype)
    assert said.tried == "64"
    network = config.blueprint(10, (1, 8, 8)).network(genotype)
    x, y = torch.randn(64, 1, 8, 8), torch.randint(0, 10, (64,))
    with peak_memory(CPU) as peak_bytes:
        step = TrainingStep(network, config.training, runtime, 0, 1)
        for _ in range(3):
            step(0, x, y)
        peak = peak_bytes()
    assert said.memory_bytes == pytest.approx(peak, rel=0.5)
