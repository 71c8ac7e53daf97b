"""What a run would be and take, without its data: for `--dry-run`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from unas.architecture.genotype import Genotype
from unas.architecture.published import load_genotype
from unas.compute.ranks import ONE_PROCESS
from unas.compute.runtime import Runtime
from unas.config import Config
from unas.costs.blocks import random_genotypes
from unas.data import DataSize
from unas.graphs.size import count_parameters, macs_if_known
from unas.pipeline.batches import count_searched, count_trained
from unas.pipeline.checks import check
from unas.pipeline.deployed import DeployedCosts
from unas.pipeline.estimate import Estimate, of_search, of_training
from unas.pipeline.room import with_room
from unas.pipeline.rungs import count_steps, planned
from unas.pipeline.trial import try_out
from unas.runs.names import SEARCH, TRAINING
from unas.searching.loop import total_steps

FINALISTS_PHASE = "finalists"


def preflight(config: Config, verb: str = "run") -> dict[str, Any]:
    """Return what a run would be, and what it takes: estimated from steps on a few random images.

    Nothing is written, and of a data set whose size is known nothing is read.

    Args:
        config: the run.
        verb: the command, "run", "search" or "train"; after a search alone nothing is trained.

    Returns:
        device, data, parameters and macs of the network, network_width where a limit decides it,
        budgets, and of each phase its steps, seconds a step, memory_bytes; total_seconds and how it
        was estimated. Before a search the network is that of a random architecture.

    Raises:
        UserError: the run would be refused.
    """
    runtime = replace(config.runtime.build(), ranks=ONE_PROCESS)
    data = config.dataset.known_size(config.data_directory)
    if data is None:
        data = config.dataset.load(config.data_directory).size
    check(config, data)
    try_out(config, data, runtime, exports=verb != "search")
    figures: dict[str, Any] = {"device": runtime.describe(), "data": _described(data)}
    figures |= _network(config, data)
    if config.budgets:
        figures["budgets"] = DeployedCosts(config, data, runtime, quiet=True).budgets.preview()
    return figures | _phases(config, data, runtime, trains=verb != "search")


def _described(data: DataSize) -> str:
    channels, height, width = data.image_shape
    return (
        f"{data.train:,} training and {data.test:,} test images, {data.num_classes:,} classes, "
        f"{channels}×{height}×{width}"
    )


def _network(config: Config, data: DataSize) -> dict[str, Any]:
    """Return the size of the network, without memory for its weights."""
    blueprint = config.blueprint(data.num_classes, data.image_shape)
    genotype = _genotype(config)
    network = blueprint.skeleton(genotype)
    of = config.genotype or "a random architecture, before the search"
    return {
        "network": f"of {of}",
        "parameters": count_parameters(network),
        "macs": macs_if_known(network, data.image_shape),
        **blueprint.decision(genotype),
    }


def _phases(config: Config, data: DataSize, runtime: Runtime, *, trains: bool) -> dict[str, Any]:
    """Return the steps of each phase, and what they take."""
    estimates: dict[str, Estimate] = {}
    recomputes = False
    steps: dict[str, int] = {}
    devices = [runtime.device] if runtime.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        if config.genotype is None:
            images = count_searched(config, data.train)
            steps[SEARCH] = total_steps(config.search, images // config.search.batch_size)
            if steps[SEARCH]:
                searching, estimate = with_room(config, data, runtime, quiet=True)
                estimates[SEARCH] = estimate or of_search(config, data, searching)
                recomputes = searching.recomputes
            plan = planned(config, config.choosing.finalists, data.train)
            if plan:
                steps[FINALISTS_PHASE] = count_steps(plan)
        if trains:
            images = count_trained(config, data.train)
            steps[TRAINING] = config.training.epochs * (images // config.training.batch_size)
        trained_in = [phase for phase in (FINALISTS_PHASE, TRAINING) if steps.get(phase)]
        if trained_in:
            of_a_step = of_training(config, data, runtime, _genotype(config))
            estimates |= dict.fromkeys(trained_in, of_a_step)
    figures = _figures(steps, estimates)
    if recomputes:
        figures["search_recomputes"] = "parts of the supernet in the backward, to save memory"
    return figures


def _figures(steps: dict[str, int], estimates: dict[str, Estimate]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    total = 0.0
    for phase, count in steps.items():
        figures[f"{phase}_steps"] = count
        if phase in estimates:
            estimate = estimates[phase]
            figures[f"{phase}_seconds_a_step"] = estimate.seconds
            figures[f"{phase}_memory_bytes"] = round(estimate.memory_bytes)
            total += count * estimate.seconds
    tried = dict.fromkeys(estimate.tried for estimate in estimates.values())
    figures["total_seconds"] = total
    if tried:
        figures["estimate"] = (
            f"steps on {', on '.join(tried)} random images, extended to the batch; reading images, "
            "choosing, testing and measuring come on top"
        )
    return figures


def _genotype(config: Config) -> Genotype:
    """Return the architecture that is trained; before a search a random one, always the same."""
    if config.genotype is not None:
        return load_genotype(config.genotype)
    (genotype,) = random_genotypes(config.space, 1, np.random.default_rng(0))
    return genotype
