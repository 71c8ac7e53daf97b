"""What a run would cost, from a few real steps."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from unas.config import Config
from unas.data import BatchStream, split
from unas.genotype import Genotype
from unas.genotype_files import load_genotype
from unas.runtime import Runtime
from unas.search_loop import total_steps
from unas.search_update import SearchStep
from unas.training import TrainingStep

STEPS = 3


def preflight(config: Config) -> dict[str, Any]:
    """Return the steps, the time and the peak memory of a run, estimated from a few real steps; write nothing.

    Args:
        config: the run.

    Returns:
        search_steps, training_steps, seconds a step of each phase, total_seconds, peak_memory_bytes (of this process,
        on the device where that is a GPU), device.
    """
    runtime = config.runtime.build()
    data = config.dataset.load(config.data_directory).to(runtime.device)
    channels, figures = data.image_shape[0], dict[str, Any](device=runtime.describe())
    total, genotype = 0.0, None
    if config.genotype is None:
        images, validation = split(data.train, config.search.validation_fraction, config.seed)
        train = BatchStream(
            images,
            config.search.batch_size,
            config.search.augmentation,
            data.mean,
            data.std,
            seed=0,
            stream="preflight",
        )
        held_out = BatchStream(
            validation, config.search.batch_size, None, data.mean, data.std, seed=0, stream="preflight"
        )
        search = SearchStep(config.space, config.search, data.num_classes, channels, runtime)
        seconds = _seconds_a_step(lambda step: search(*train.batch(step), *held_out.batch(step)), runtime)
        steps = total_steps(config.search, train.steps_per_epoch)
        genotype = Genotype(config.space.name, search.policy.mode())
        total += steps * seconds
        figures |= {"search_steps": steps, "search_seconds_a_step": seconds}
    else:
        genotype = load_genotype(config.genotype)
    network = config.space.network(genotype, data.num_classes, channels, **asdict(config.network))
    stream = BatchStream(
        data.train,
        config.training.batch_size,
        config.training.augmentation,
        data.mean,
        data.std,
        seed=0,
        stream="train",
    )
    training = TrainingStep(network, config.training, runtime, config.seed, stream.steps_per_epoch)
    seconds = _seconds_a_step(lambda step: training(step, *stream.batch(step)), runtime)
    steps = config.training.epochs * stream.steps_per_epoch
    figures |= {"training_steps": steps, "training_seconds_a_step": seconds}
    return figures | {"total_seconds": total + steps * seconds, "peak_memory_bytes": _peak_memory(runtime)}


def _seconds_a_step(step: Callable[[int], dict[str, float] | tuple[Tensor, ...]], runtime: Runtime) -> float:
    step(0)
    start = time.perf_counter()
    for number in range(1, STEPS + 1):
        step(number)
    runtime.synchronise()
    return (time.perf_counter() - start) / STEPS


def _peak_memory(runtime: Runtime) -> int:
    if runtime.device.type == "cuda":
        return torch.cuda.max_memory_allocated(runtime.device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
