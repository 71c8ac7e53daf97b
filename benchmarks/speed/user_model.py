"""A search step of a user's own model, beside training one of its networks."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

import unas
from speed.arithmetic import ROOFLINE, measure, of_search_step, of_training
from speed.cell_model import CellModel
from speed.section import Section, Settings
from speed.turns import Timed, clocked, in_turn
from unas.architecture.genotype import Genotype
from unas.config import Config
from unas.estimators.rebar import Rebar
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.objectives.cross_entropy import CrossEntropy
from unas.spaces import ModuleSpace, NetworkOptions
from unas.training import TrainingConfig, TrainingStep

IMAGES_TO_ONE = 4  # images of a step for each one of a step in the DARTS space
ARCHITECTURES = 8
TRAINING = "training one of its networks"


def _config(settings: Settings, search: dict[str, Any]) -> Config:
    recipe = unas.recipe("cifar10")
    batch = IMAGES_TO_ONE * settings.batch
    changed = replace(
        recipe.search,
        batch_size=batch,
        architectures_per_batch=ARCHITECTURES,
        objectives={"cross_entropy": CrossEntropy()},
        **search,
    )
    model = partial(CellModel, channels=settings.channels)
    return replace(
        recipe,
        space=ModuleSpace(model),
        network=NetworkOptions(),
        search=changed,
        runtime=replace(recipe.runtime, precision="float32"),
    )


def _draws(count: int) -> dict[str, Any]:
    return {"estimator": ReinforceLeaveOneOut(draws=count), "weights_on": "hard"}


def model(settings: Settings) -> Section:
    """Time steps of a model that only torch and the choices in it describe."""
    size = IMAGES_TO_ONE * settings.batch
    x, x_val = torch.randn(2, size, 3, 32, 32, device=settings.device)
    y, y_val = torch.randint(0, 10, (2, size), device=settings.device)
    first = f"`reinforce_loo`, hard weights, {ARCHITECTURES} a batch, draws 1"
    searches = {
        first: _draws(1),
        f"`reinforce_loo`, hard weights, {ARCHITECTURES} a batch, draws 8": _draws(8),
        "`rebar`, relaxed": {"estimator": Rebar()},
        "`rebar`, relaxed, images channels-last by hand": {"estimator": Rebar()},
    }
    timed: dict[str, Timed] = {}
    amounts = {}
    for name, search in searches.items():
        batch = (x, y, x_val, y_val)
        if "channels-last" in name:
            batch = (_channels_last(x), y, _channels_last(x_val), y_val)
        step = unas.search_step(_config(settings, search), device=str(settings.device))
        amounts[name] = of_search_step(step, batch)
        timed[name] = clocked(partial(step, *batch), settings.device)
    training = _training(settings)
    timed[TRAINING] = clocked(partial(training, 0, _channels_last(x), y), settings.device)
    amounts[TRAINING] = of_training(training.network, x)
    machine = measure(settings.device)
    turns = in_turn(timed, settings.pairs)
    rows = []
    for name in timed:
        roofline = machine.cells(amounts[name], turns.median(name))
        rows.append((name, *turns.cells(name, first, is_duration=True), *roofline))
    return Section(
        "A model of one's own",
        f"`benchmarks/speed/cell_model.py`, three cells, C {settings.channels}, B {size}, in turn "
        f"in one process, float32, medians of {settings.pairs} rounds. The first relaxed row has "
        f"the images as PyTorch makes them. {machine.describe()}",
        ("", "median step", "× draws 1", "least to largest", *ROOFLINE),
        rows,
        {"seconds": turns.seconds},
    )


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def _training(settings: Settings) -> TrainingStep:
    """Return the training of the network with the first convolution on every edge."""
    config = _config(settings, _draws(1))
    picks = {choice: options[0] for choice, options in config.space.choices.items()}
    network = config.space.network(Genotype(config.space.registry_name, picks), 10)
    runtime = replace(config.runtime, device=str(settings.device)).build()
    return TrainingStep(network, TrainingConfig(epochs=1, warm_up_epochs=0), runtime, 0, 1)
