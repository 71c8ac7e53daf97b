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
    """Networks that are trained up to the same step.

    Args:
        networks: how many.
        begin: the steps that each has done before.
        end: those that each has done then. The learning rate's schedule ends with the last rung.
    """

    networks: int
    begin: int
    end: int

    @property
    def steps(self) -> int:
        """Those of one network in this rung."""
        return self.end - self.begin


def rungs(finalists: int, steps: int, epoch: int) -> list[Rung]:
    """Return the rungs: the better half of the networks of each goes on, to twice as many steps.

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
        first = steps // count_steps(_doubling(count, 1))
        if first > epoch:
            first -= first % epoch
        if first >= min(LEAST_STEPS, epoch):
            return _doubling(count, first)
    return []


def _doubling(networks: int, first: int) -> list[Rung]:
    """Return the rungs down to two networks, the first of so many steps."""
    plan = [Rung(networks, 0, first)]
    while (last := plan[-1]).networks > 2:
        plan.append(Rung((last.networks + 1) // 2, last.end, 2 * last.end))
    return plan


def planned(config: Config, finalists: int, images: int) -> list[Rung]:
    """Return the rungs of a run that has so many finalists, and training images in all."""
    return rungs(finalists, most_steps(config, images), steps_per_epoch(config, images))


def most_steps(config: Config, images: int) -> int:
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
