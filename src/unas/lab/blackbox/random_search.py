"""Random search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unas.lab.blackbox.base import BlackBoxMethod
from unas.lab.queries import Queries


@dataclass(frozen=True)
class RandomSearch(BlackBoxMethod):
    """Architectures in random order, none of them twice."""

    def search(self, queries: Queries, seed: int) -> None:
        """See `BlackBoxMethod`."""
        order = np.random.default_rng(seed).permutation(len(queries.table))
        for position in (*order.tolist(), 0):  # a table that is asked for as a whole ends it too
            queries(position)
