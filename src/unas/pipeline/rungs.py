"""How long finalists are trained: successive halving within a share of a training's steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from unas.config import Config
from unas.pipeline.batches import count_searched, count_trained

LEAST_STEPS = 20  # of a training, unless an epoch has fewer; less says nothing of a network


@dataclass(frozen=True)
class Rung:
    """Networks that are trained for as many steps each.

    Args:
        networks: how many.
        steps: of each, a whole schedule of the learning rate.
    """

    networks: int
    steps: int


def rungs(finalists: int, steps: int, epoch: int) -> list[Rung]:
    """Return the rungs: the better half of the networks of each is trained anew, twice as long.

    Where there aren't 20 steps, or an epoch, for each of the first, there are fewer finalists. If
    the first have more than an epoch, they have whole ones.

    Args:
        finalists: how many networks begin.
        steps: of all networks of all rungs together, at most.
        epoch: the steps of an epoch.

    Returns:
        no rung where the steps aren't enough for two networks.
    """
    for count in range(finalists, 1, -1):
        sizes = [count]
        while sizes[-1] > 2:
            sizes.append((sizes[-1] + 1) // 2)
        least = sum(size * 2**number for number, size in enumerate(sizes))
        first = steps // least
        if first > epoch:
            first -= first % epoch
        if first >= min(LEAST_STEPS, epoch):
            return [Rung(size, first * 2**number) for number, size in enumerate(sizes)]
    return []


def planned(config: Config, finalists: int, images: int) -> list[Rung]:
    """Return the rungs of a run that has so many finalists, and training images in all."""
    return rungs(finalists, steps_together(config, images), steps_per_epoch(config, images))


def steps_together(config: Config, images: int) -> int:
    """Return how many steps all finalists may have together, of so many training images in all."""
    training = config.training
    whole = training.epochs * (count_trained(config, images) // training.batch_size)
    return math.floor(config.choosing.finalist_share * whole + 1e-9)


def steps_per_epoch(config: Config, images: int) -> int:
    """Return how many steps an epoch of a finalist has, of so many training images in all."""
    return count_searched(config, images) // config.training.batch_size


def count_steps(plan: Sequence[Rung]) -> int:
    """Return how many steps all rungs have together."""
    return sum(rung.networks * rung.steps for rung in plan)
