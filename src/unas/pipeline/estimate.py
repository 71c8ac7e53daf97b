"""What one step of a phase takes, from a few steps of it on a few random images."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unas.architecture.genotype import Genotype
from unas.compute.free_memory import usable_memory
from unas.compute.peak_memory import peak_memory
from unas.compute.runtime import Runtime
from unas.config import Config
from unas.data import DataSize
from unas.nn.lease import give_back
from unas.objectives import PolicyTerm
from unas.pipeline.batches import count_searched
from unas.pipeline.trial import is_tested
from unas.searching.loop import policy_updates, total_steps
from unas.searching.step import SearchStep
from unas.training import TrainingStep

FEW_ARCHITECTURES = 2  # of the smallest step that is tried
FEW_IMAGES = 2  # of an architecture, or of a training step
LARGE_SIDE = 128  # pixels, from which the supernet of a built-in space gets images of half the side
MOST_TIMED = 5  # steps of a size
LONG_SECONDS = 1.0  # a step that takes longer is the last that is tried, or the second

# Does a step.
Step = Callable[[], object]


@dataclass(frozen=True)
class Size:
    """The size of a step.

    Args:
        images: of its batch.
        architectures: how many of them share the batch.
    """

    images: int
    architectures: int = 1


@dataclass(frozen=True)
class Estimate:
    """What one step takes.

    Args:
        seconds: without reading and augmenting images.
        memory_bytes: at most, weights and the optimiser's averages included, but not what the
            process has without them.
        tried: the images of the steps that it is extended from, in words.
    """

    seconds: float
    memory_bytes: float
    tried: str


def of_training(config: Config, data: DataSize, runtime: Runtime, genotype: Genotype) -> Estimate:
    """Return what a step of the training from scratch takes."""
    blueprint = config.blueprint(data.num_classes, data.image_shape)
    batch = config.training.batch_size

    def make(size: Size) -> Step:
        x, y = _batch(size.images, data, runtime)
        training = replace(config.training, warm_up_epochs=0, epochs=1)
        step = TrainingStep(blueprint.network(genotype), training, runtime, config.seed, 1)
        return lambda: step(0, x, y)

    return extended(tried_sizes(make, sizes(batch, 1), runtime), batch)


def of_search(config: Config, data: DataSize, runtime: Runtime) -> Estimate:
    """Return what a step of the search takes, warmed up: the mean over all of its steps.

    Terms that have nothing to do with images take no time to speak of in a step.
    """
    search = config.search
    batch = search.batch_size
    epoch = count_searched(config, data.train) // batch
    total = total_steps(search, epoch)
    policy = policy_updates(search, epoch)
    small = search.small_images
    area = small.area_of(data.image_shape) if small else 1.0
    data, divisor = _handy(config, data)
    make = _steps(config, data, runtime, _whole_step if policy else _weights_alone)
    smaller = sizes(batch, search.num_architectures(batch))
    tried = tried_sizes(make, smaller, runtime)
    estimate = extended(tried, batch * divisor)
    alone = 1.0
    if policy and (total > policy or search.settling_steps):
        # Small steps tell how much less those of the weights alone take.
        make_alone = _steps(config, data, runtime, _weights_alone)
        alone = min(_tried(make_alone, smaller[0], runtime).seconds / tried[0].seconds, 1.0)
    saved = search.small_epochs * epoch * (1 - area)
    mean = _mean_step(alone, total, policy, search.settling_steps, saved)
    estimate = replace(estimate, seconds=mean * estimate.seconds)
    if divisor == 1:
        return estimate
    _, height, width = data.image_shape
    return replace(estimate, tried=f"{estimate.tried} of {height}×{width}")


def _mean_step(alone: float, total: int, policy: int, settling: int, saved: float) -> float:
    """Return what a step takes on average, as a share of one that updates weights and policy.

    Args:
        alone: the share that a step of the weights alone takes; one of the policy alone has the
            rest.
        total: how many steps there are.
        policy: in how many of them the policy learns.
        settling: in how many of these the weights rest.
        saved: how many steps of the weights alone take as long as smaller images save, where a step
            takes its images' area's share of the time.
    """
    of_policy = (policy - settling) + settling * (1 - alone)
    return ((total - policy - saved) * alone + of_policy) / max(total, 1)


def _handy(config: Config, data: DataSize) -> tuple[DataSize, int]:
    """Return the data with images of half the side where they are large, and what that divides."""
    channels, height, width = data.image_shape
    if not is_tested(config.space) or min(height, width) < LARGE_SIDE:
        return data, 1
    # Its layers are convolutions, and take a time and memory in proportion to the area.
    return replace(data, image_shape=(channels, height // 2, width // 2)), 4


def most_memory_of_search(config: Config, data: DataSize, runtime: Runtime) -> float:
    """Return the bytes that a step of the search takes at most, from the smallest step alone.

    It is in proportion to the images, which weights aren't.
    """
    search = config.search
    smallest = sizes(search.batch_size, search.num_architectures(search.batch_size))[0]
    learns = policy_updates(search, count_searched(config, data.train) // search.batch_size)
    data, divisor = _handy(config, data)
    make = _steps(config, data, runtime, _whole_step if learns else _weights_alone)
    give_back()  # or the blocks of other sizes would serve this one
    with runtime.computing(), peak_memory(runtime.device) as peak_bytes:
        make(smallest)()
        taken = peak_bytes()
    return taken * search.batch_size * divisor / smallest.images


def _whole_step(step: SearchStep, x: Tensor, y: Tensor) -> object:
    return step(x, y, x, y)


def _weights_alone(step: SearchStep, x: Tensor, y: Tensor) -> object:
    return step.warm_up(x, y)


def _steps(
    config: Config,
    data: DataSize,
    runtime: Runtime,
    update: Callable[[SearchStep, Tensor, Tensor], object],
) -> Callable[[Size], Step]:
    """Return what makes a step of the search of a size, given what to do with images and labels."""
    search = config.search
    of_images = {
        name: term for name, term in search.objectives.items() if not isinstance(term, PolicyTerm)
    }

    def make(size: Size) -> Step:
        few = replace(
            search,
            objectives=of_images,
            batch_size=size.images,
            architectures_per_batch=size.architectures,
        )
        x, y = _batch(size.images, data, runtime)
        step = SearchStep(config.space, few, data.num_classes, data.image_shape[0], runtime)
        return lambda: update(step, x, y)

    return make


def sizes(batch: int, architectures: int) -> list[Size]:
    """Return sizes up to that of a batch, each about twice as large as the one before.

    First the number of architectures grows to that of the batch, and then the images of each.
    """
    share = batch // architectures
    few_images = min(FEW_IMAGES, share)
    growing = []
    few = min(FEW_ARCHITECTURES, architectures)
    while few < architectures:
        growing.append(Size(few * few_images, few))
        few *= 2
    while few_images < share:
        growing.append(Size(few_images * architectures, architectures))
        few_images *= 2
    return [*growing, Size(batch, architectures)]


def extended(tried: Sequence[_Tried], batch: int) -> Estimate:
    """Return the estimate for a batch, along the line through the two largest steps that are tried.

    A step has a part that is the same for any batch, and one in proportion to the images. How large
    the former is depends on how many architectures there are: where the line can be of steps with
    as many as the batch has, it is.
    """
    smallest, last = tried[0], tried[-1]
    times = batch / last.size.images
    # In proportion, all of a step would be about images, so it is never more.
    most = Estimate(times * last.seconds, times * last.memory_bytes, str(last.size.images))
    if times == 1 or len(tried) == 1:
        return most
    before = tried[-2]
    seconds = _on_line(batch, before.size.images, before.seconds, last.size.images, last.seconds)
    # Gaps between tensors come and go: the longer the line, the less they count.
    memory = _on_line(
        batch,
        smallest.size.images,
        smallest.memory_bytes,
        last.size.images,
        last.memory_bytes,
    )
    return Estimate(
        min(seconds, most.seconds),
        min(memory, most.memory_bytes),
        f"{before.size.images} and {last.size.images}",
    )


def _on_line(at: int, x0: int, y0: float, x1: int, y1: float) -> float:
    """Return the height at `at` of the line through two points, which doesn't fall."""
    return y1 + (at - x1) / (x1 - x0) * max(y1 - y0, 0.0)


def tried_sizes(
    make: Callable[[Size], Step], sizes: Sequence[Size], runtime: Runtime
) -> list[_Tried]:
    """Return the smallest size, the next, and larger ones that don't take long and surely fit."""
    room = usable_memory(runtime.device)
    with runtime.computing():
        make(sizes[0])()  # what a first step of a process takes isn't in proportion to its size
    tried = [_tried(make, sizes[0], runtime)]
    reached = 0
    while reached + 1 < len(sizes):
        last = tried[-1]
        # A step grows at most in proportion to its images.
        bearable = last.size.images * LONG_SECONDS / last.seconds
        if len(tried) > 1 and tried[-2].size.architectures != last.size.architectures:
            bearable *= 2  # that line is too steep
        fitting = last.size.images * room / max(last.memory_bytes, 1)
        following = max(reached + 1, _largest(sizes, min(bearable, fitting)))
        images = sizes[following].images
        if images > fitting or (images > bearable and len(tried) > 1):
            break
        tried.append(_tried(make, sizes[following], runtime))
        reached = following
    return tried


def _largest(sizes: Sequence[Size], images: float) -> int:
    """Return the number of the largest size of at most so many images, or 0."""
    fitting = [number for number, size in enumerate(sizes) if size.images <= images]
    return max(fitting, default=0)


@dataclass(frozen=True)
class _Tried:
    """What a step of some size took."""

    size: Size
    seconds: float
    memory_bytes: float


def _tried(make: Callable[[Size], Step], size: Size, runtime: Runtime) -> _Tried:
    seconds: list[float] = []
    give_back()  # or the blocks of other sizes would serve this one
    with runtime.computing(), peak_memory(runtime.device) as peak_bytes:
        step = make(size)
        # The first step makes kernels for its size, and the optimiser's averages.
        while len(seconds) < 2 or (len(seconds) < MOST_TIMED and sum(seconds) < LONG_SECONDS):
            runtime.synchronise()
            start = time.perf_counter()
            step()
            runtime.synchronise()
            seconds.append(time.perf_counter() - start)
        memory_bytes = peak_bytes()
    # The shortest: what else the machine does only adds to it.
    return _Tried(size, min(seconds), memory_bytes)


def _batch(images: int, data: DataSize, runtime: Runtime) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(images, *data.image_shape, generator=generator)
    y = torch.arange(images) % data.num_classes
    return x.to(runtime.device, memory_format=torch.channels_last), y.to(runtime.device)
