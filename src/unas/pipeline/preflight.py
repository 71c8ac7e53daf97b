"""What a run would cost, from a few real steps."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Policy
from unas.architecture.published import load_genotype
from unas.compute.runtime import Runtime
from unas.config import Config
from unas.data import ImageData
from unas.objectives import PolicyTerm
from unas.pipeline.batches import search_streams, training_stream
from unas.pipeline.checks import check
from unas.pipeline.deployed import DeployedCosts
from unas.runs.names import SEARCH, TRAINING
from unas.searching.loop import total_steps
from unas.searching.step import SearchStep
from unas.training import TrainingStep

STEPS = 3


def preflight(config: Config) -> dict[str, Any]:
    """Return the steps, the time and the peak memory of a run, estimated from a few real steps.

    Write nothing.

    Args:
        config: the run.

    Returns:
        search_steps, training_steps, seconds a step of each phase, total_seconds, peak_memory_bytes
        (of this process, on the device where that is a GPU), device, budgets, network_width where a
        limit decides it. The training steps are those of the policy's first mode.
    """
    runtime = config.runtime.build()
    data = config.dataset.load(config.data_directory).to(runtime.device)
    check(config, data)
    phases = [_training(config, data, runtime)]
    if config.genotype is None:
        phases.insert(0, _search(config, data, runtime))
    figures: dict[str, Any] = {"device": runtime.describe()}
    for phase in phases:
        figures |= {
            f"{phase.name}_steps": phase.steps,
            f"{phase.name}_seconds_a_step": phase.seconds_a_step,
        }
    if config.budgets:
        figures["budgets"] = DeployedCosts(config, data, runtime, quiet=True).budgets.preview()
    figures |= config.blueprint(data.num_classes, data.image_shape).decision(_genotype(config))
    total = sum(phase.steps * phase.seconds_a_step for phase in phases)
    return figures | {"total_seconds": total, "peak_memory_bytes": _peak_memory(runtime)}


@dataclass(frozen=True)
class _Phase:
    """A phase of the run that is estimated."""

    name: str
    steps: int
    seconds_a_step: float


def _search(config: Config, data: ImageData, runtime: Runtime) -> _Phase:
    train, validation = search_streams(config, data)
    steps = total_steps(config.search, train.steps_per_epoch)
    if steps == 0:
        return _Phase(SEARCH, 0, 0.0)
    # The other terms take no time to speak of in a step, but measure before the first.
    of_images = {
        name: term
        for name, term in config.search.objectives.items()
        if not isinstance(term, PolicyTerm)
    }
    search = SearchStep(
        config.space,
        replace(config.search, objectives=of_images),
        data.num_classes,
        data.image_shape[0],
        runtime,
    )

    def do(step: int) -> None:
        search(*train.batch(step), *validation.batch(step))

    return _Phase(SEARCH, steps, _seconds_a_step(do, runtime))


def _training(config: Config, data: ImageData, runtime: Runtime) -> _Phase:
    stream = training_stream(config, data)
    steps = config.training.epochs * stream.steps_per_epoch
    if steps == 0:
        return _Phase(TRAINING, 0, 0.0)
    network = config.blueprint(data.num_classes, data.image_shape).network(_genotype(config))
    training = TrainingStep(network, config.training, runtime, config.seed, stream.steps_per_epoch)

    def do(step: int) -> None:
        training(step, *stream.batch(step))

    return _Phase(TRAINING, steps, _seconds_a_step(do, runtime))


def _genotype(config: Config) -> Genotype:
    """Return the architecture that is trained, or the policy's first mode before a search."""
    if config.genotype is not None:
        return load_genotype(config.genotype)
    return Genotype(config.space.registry_name, Policy(config.space.choices).mode())


def _seconds_a_step(do: Callable[[int], None], runtime: Runtime) -> float:
    do(0)
    start = time.perf_counter()
    for step in range(1, STEPS + 1):
        do(step)
    runtime.synchronise()
    return (time.perf_counter() - start) / STEPS


def _peak_memory(runtime: Runtime) -> int:
    if runtime.device.type == "cuda":
        return torch.cuda.max_memory_allocated(runtime.device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
