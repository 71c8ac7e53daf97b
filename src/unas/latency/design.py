"""Which architectures to measure: those that tell the most about all terms together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from unas.architecture.genotype import Genotype
from unas.costs.blocks import Terms
from unas.spaces import SearchSpace

Array = npt.NDArray[np.float64]

POOL = 1000  # candidates to choose from
GROUP_SCALE, TERM_SCALE, MEAN_SCALE = (
    30.0,
    1.0,
    1e3,
)  # what is believed before anything is measured, in the noise's unit


def choose_design(terms: Terms, count: int, generator: np.random.Generator) -> list[Genotype]:
    """Return architectures chosen one after the other, each the one whose cost is the least certain then.

    That is the greedy D-optimal design for the model of `unas.latency.regression`: it makes the
    determinant of the posterior's precision as large as one step can. Uniform draws all have about
    the same mixture of operations, which says little about each of them; so half of the candidates
    are drawn with few operations each.

    Args:
        terms: the terms of the space.
        count: how many architectures.
        generator: for the candidates.
    """
    uniform = np.inf
    pool = [
        _drawn(terms.space, generator, 0.3 if i % 2 else uniform)
        for i in range(max(POOL, 2 * count))
    ]
    matrix = terms.matrix(pool)
    features = np.hstack(
        [
            np.full((len(pool), 1), MEAN_SCALE),
            GROUP_SCALE * matrix @ terms.group_matrix(),
            TERM_SCALE * matrix,
        ]
    )
    residual = features.copy()
    variances = (features**2).sum(1)
    chosen: list[int] = []
    for _ in range(count):
        best = int(variances.argmax())
        chosen.append(best)
        # Condition on a measurement of it with noise 1: one step of a pivoted Cholesky
        # decomposition.
        covariance = residual @ residual[best]
        direction = residual[best] / np.sqrt(residual[best] @ residual[best])
        share = 1 - 1 / np.sqrt(1 + residual[best] @ residual[best])
        residual -= share * np.outer(residual @ direction, direction)
        variances = variances - covariance**2 / (1 + covariance[best])
    return [pool[index] for index in chosen]


def _drawn(space: SearchSpace, generator: np.random.Generator, concentration: float) -> Genotype:
    """Return an architecture whose choices of the same options share probabilities drawn from a Dirichlet."""
    shared: dict[tuple[str, ...], Array] = {}
    choices = {}
    for name, options in space.choices.items():
        if options not in shared:
            k = len(options)
            shared[options] = (
                np.full(k, 1 / k)
                if np.isinf(concentration)
                else generator.dirichlet([concentration] * k)
            )
        choices[name] = options[int(generator.choice(len(options), p=shared[options]))]
    return Genotype(space.name, choices)
