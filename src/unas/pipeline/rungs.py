"""How many epochs finalists are trained for: successive halving within a share of a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from unas.config import Config
from unas.data import validation_count


@dataclass(frozen=True)
class Rung:
    """Networks that are trained for as many epochs each.

    Args:
        networks: how many.
        epochs: of each, a whole schedule of the learning rate.
    """

    networks: int
    epochs: int


def rungs(finalists: int, epochs: float) -> list[Rung]:
    """Return the rungs: the better half of the networks of each is trained anew, twice as long.

    Where there isn't an epoch for each of the first, there are fewer finalists.

    Args:
        finalists: how many networks begin.
        epochs: of all networks of all rungs together, at most.

    Returns:
        no rung where the epochs aren't enough for two networks.
    """
    for count in range(finalists, 1, -1):
        sizes = [count]
        while sizes[-1] > 2:
            sizes.append((sizes[-1] + 1) // 2)
        least = sum(size * 2**number for number, size in enumerate(sizes))
        epochs_at_first = math.floor(epochs / least + 1e-9)
        if epochs_at_first:
            return [Rung(size, epochs_at_first * 2**number) for number, size in enumerate(sizes)]
    return []


def planned(config: Config, finalists: int) -> list[Rung]:
    """Return the rungs of a run that has so many finalists."""
    return rungs(finalists, config.choosing.finalist_share * config.training.epochs)


def steps_per_epoch(config: Config, images: int) -> int:
    """Return how many steps an epoch of a finalist has, of so many training images in all."""
    validation = validation_count(images, config.search.validation_fraction)
    return (images - validation) // config.training.batch_size


def count_steps(config: Config, plan: Sequence[Rung], images: int) -> int:
    """Return how many steps all rungs have together, of so many training images in all."""
    epochs = sum(rung.networks * rung.epochs for rung in plan)
    return epochs * steps_per_epoch(config, images)
