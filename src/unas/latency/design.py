"""Which architectures to measure: those that tell the most about all terms together."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from unas.architecture.genotype import Genotype
from unas.costs.blocks import Terms
from unas.spaces import SearchSpace

Array = npt.NDArray[np.float64]

POOL = 1000  # candidates to choose from
CONCENTRATED = 0.3  # the Dirichlet's parameter: an architecture of few kinds of operations
UNIFORM = math.inf

# Standard deviations before anything is measured, in those of the noise.
MEAN_SCALE = 1e3
GROUP_SCALE = 30.0
TERM_SCALE = 1.0


def choose_design(terms: Terms, count: int, generator: np.random.Generator) -> list[Genotype]:
    """Return architectures, each the one whose cost is the least certain after those before it.

    That is the greedy D-optimal design for the model of `unas.latency.regression`: it makes the
    determinant of the posterior's precision as large as one step can. Uniform draws all have about
    the same mixture of operations, which says little about each of them; so half of the candidates
    are drawn with few operations each.

    Args:
        terms: the terms of the space.
        count: how many architectures to choose.
        generator: draws the candidates.
    """
    pool = _candidates(terms.space, max(POOL, 2 * count), generator)
    residual = _features(terms, pool)
    variances = (residual**2).sum(1)
    chosen: list[Genotype] = []
    for _ in range(count):
        best = int(variances.argmax())
        chosen.append(pool[best])
        # Condition on a measurement of it with noise 1: one step of a pivoted Cholesky
        # decomposition.
        covariance = residual @ residual[best]
        direction = residual[best] / np.sqrt(residual[best] @ residual[best])
        share = 1 - 1 / np.sqrt(1 + residual[best] @ residual[best])
        residual -= share * np.outer(residual @ direction, direction)
        variances -= covariance**2 / (1 + covariance[best])
    return chosen


def _features(terms: Terms, pool: list[Genotype]) -> Array:
    """Return features, [n, features], whose inner products are the prior covariances of costs."""
    matrix = terms.matrix(pool)
    intercept = np.full((len(pool), 1), MEAN_SCALE)
    groups = GROUP_SCALE * matrix @ terms.group_matrix()
    return np.hstack([intercept, groups, TERM_SCALE * matrix])


def _candidates(space: SearchSpace, count: int, generator: np.random.Generator) -> list[Genotype]:
    """Return architectures, in turn of all operations alike and of few operations each."""
    pool = []
    for position in range(count):
        concentration = CONCENTRATED if position % 2 else UNIFORM
        pool.append(_drawn(space, generator, concentration))
    return pool


def _drawn(space: SearchSpace, generator: np.random.Generator, concentration: float) -> Genotype:
    """Return an architecture whose choices of the same options share their probabilities.

    Args:
        space: the search space.
        generator: draws the probabilities, and the options.
        concentration: the parameter of the Dirichlet that probabilities are drawn from.
    """
    probabilities: dict[tuple[str, ...], Array] = {}
    choices = {}
    for name, options in space.choices.items():
        count = len(options)
        if options not in probabilities and concentration == UNIFORM:
            probabilities[options] = np.full(count, 1 / count)
        elif options not in probabilities:
            probabilities[options] = generator.dirichlet([concentration] * count)
        choices[name] = options[int(generator.choice(count, p=probabilities[options]))]
    return Genotype(space.registry_name, choices)
