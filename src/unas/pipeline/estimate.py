"""What one step of a phase takes, from a few steps of it on a few random images."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unas.architecture.genotype import Genotype
from unas.compute.live_memory import LiveMemory
from unas.compute.runtime import Runtime
from unas.config import Config
from unas.data import DataSize
from unas.objectives import PolicyTerm
from unas.pipeline.trial import is_tested
from unas.searching.step import SearchStep
from unas.training import TrainingStep

FEW_ARCHITECTURES = 2  # of the first batch that is tried
MOST_OF_AN_ARCHITECTURE = 2  # images
LARGE_SIDE = 128  # pixels, from which the supernet of a built-in space gets images of half the side
TIMED = 3  # steps, after one that isn't
LONG_SECONDS = 1.0  # a step that takes longer is the last that is tried

# Does a step on the first images of a batch.
Step = Callable[[], object]


@dataclass(frozen=True)
class Estimate:
    """What one step takes.

    Args:
        seconds: without reading and augmenting images.
        memory_bytes: of all tensors at one time, weights and the optimiser's averages included.
        tried: the images of the steps that it is extended from, in words.
    """

    seconds: float
    memory_bytes: float
    tried: str


def of_training(config: Config, data: DataSize, runtime: Runtime, genotype: Genotype) -> Estimate:
    """Return what a step of the training from scratch takes."""
    blueprint = config.blueprint(data.num_classes, data.image_shape)
    batch = config.training.batch_size

    def make(images: int) -> Step:
        x, y = _batch(images, data, runtime)
        training = replace(config.training, warm_up_epochs=0, epochs=1)
        step = TrainingStep(blueprint.network(genotype), training, runtime, config.seed, 1)
        return lambda: step(0, x, y)

    return _extended(make, min(2, batch), batch, runtime)


def of_search(config: Config, data: DataSize, runtime: Runtime) -> Estimate:
    """Return what a step of the search takes, warmed up.

    Terms that have nothing to do with images take no time to speak of in a step.
    """
    search = config.search
    of_images = {
        name: term for name, term in search.objectives.items() if not isinstance(term, PolicyTerm)
    }
    architectures = search.num_architectures(search.batch_size)
    of_each = min(MOST_OF_AN_ARCHITECTURE, search.batch_size // architectures)

    def make(images: int) -> Step:
        few = replace(
            search,
            objectives=of_images,
            batch_size=images,
            architectures_per_batch=images // of_each,
        )
        x, y = _batch(images, data, runtime)
        step = SearchStep(config.space, few, data.num_classes, data.image_shape[0], runtime)
        return lambda: step(x, y, x, y)

    divisor = 1
    channels, height, width = data.image_shape
    if is_tested(config.space) and min(height, width) >= LARGE_SIDE:
        # Its layers are convolutions, and take a time and memory in proportion to the area.
        data = replace(data, image_shape=(channels, height // 2, width // 2))
        divisor = 4
    least = min(FEW_ARCHITECTURES, architectures) * of_each
    estimate = _extended(make, least, search.batch_size * divisor, runtime)
    if divisor == 1:
        return estimate
    return replace(estimate, tried=f"{estimate.tried} of {height // 2}×{width // 2}")


def _extended(make: Callable[[int], Step], images: int, batch: int, runtime: Runtime) -> Estimate:
    """Return the estimate for a batch, along the line through the two largest that are tried.

    They are doubled as long as a step is short: the more architectures share a batch, the less each
    of them adds.
    """
    seconds, memory = _tried(make, images, runtime)
    estimate = Estimate(seconds * batch / images, memory * batch / images, str(images))
    while seconds < LONG_SECONDS and 2 * images <= batch:
        more_seconds, more_memory = _tried(make, 2 * images, runtime)
        left = (batch - 2 * images) / images
        # An image of a large batch takes no longer than one of a small batch.
        most = more_seconds * batch / (2 * images)
        estimate = Estimate(
            min(more_seconds + left * max(more_seconds - seconds, 0.0), most),
            more_memory + left * max(more_memory - memory, 0.0),
            f"{images} and {2 * images}",
        )
        images *= 2
        seconds, memory = more_seconds, more_memory
    return estimate


def _tried(make: Callable[[int], Step], images: int, runtime: Runtime) -> tuple[float, float]:
    """Return the seconds and the bytes of a step on so many images."""
    with LiveMemory() as memory:
        step = make(images)
        step()
    runtime.synchronise()
    seconds = math.inf
    for _ in range(TIMED):
        start = time.perf_counter()
        step()
        runtime.synchronise()
        # The shortest: what else the machine does only adds to it.
        seconds = min(seconds, time.perf_counter() - start)
        if seconds > LONG_SECONDS:
            break
    return seconds, memory.peak_bytes


def _batch(images: int, data: DataSize, runtime: Runtime) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(images, *data.image_shape, generator=generator)
    y = torch.arange(images) % data.num_classes
    return x.to(runtime.device, memory_format=torch.channels_last), y.to(runtime.device)
