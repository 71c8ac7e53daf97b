"""A table made of random effects, as large and as rough as asked for, whose best architecture is
known.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from unas.lab.table import ArchitectureTable


def synthetic_table(
    num_options: Sequence[int], *, pairs: float, triples: float, seed: int
) -> ArchitectureTable:
    """Return every architecture with the metric `score`: a sum of normal effects of options, pairs
    and triples.

    Args:
        num_options: K of each choice.
        pairs: the standard deviation of what two options do together; that of one option's effect
            is 1.
        triples: that of what three do together.
        seed: of the effects.
    """
    rng = np.random.default_rng(seed)
    rows = np.array(list(itertools.product(*(range(k) for k in num_options))), dtype=np.int64)
    score = np.zeros(len(rows))
    for order, deviation in enumerate((1.0, pairs, triples), 1):
        for together in itertools.combinations(range(len(num_options)), order):
            effects = rng.normal(0, deviation, [num_options[c] for c in together])
            score += effects[tuple(rows[:, c] for c in together)]
    choices = {
        f"choice{i + 1}": tuple(f"option{k + 1}" for k in range(count))
        for i, count in enumerate(num_options)
    }
    return ArchitectureTable(choices, rows, {"score": score})
