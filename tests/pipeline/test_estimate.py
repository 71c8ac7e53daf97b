"""What a dry run says of a step, beside the step."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import torch

from estimated_memory import CPU, DIGITS, SEARCHES, digits
from processes import fresh
from unas.compute.peak_memory import peak_memory
from unas.compute.runtime import Runtime
from unas.costs.blocks import random_genotypes
from unas.pipeline import estimate
from unas.pipeline.estimate import Size, Step, extended, of_search, of_training, sizes
from unas.training import TrainingStep


@pytest.mark.parametrize("search", list(SEARCHES))
def test_memory_is_near_that_of_the_steps(search: str) -> None:
    # A process of its own: in one that has done much, what is free lies in many pieces.
    done = fresh("estimated_memory", search)
    assert done.returncode == 0, done.stderr
    said, taken = json.loads(done.stdout)
    assert said == pytest.approx(taken, rel=0.2)


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
