"""Local search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unas.lab.blackbox.base import BlackBoxMethod
from unas.lab.queries import Queries


@dataclass(frozen=True)
class LocalSearch(BlackBoxMethod):
    """Move to a better neighbour as soon as one is found.

    Where there is none, start anew (White et al. 2021).

    A neighbour differs in one choice. Starts are random; neighbours are tried in random order.
    """

    def search(self, queries: Queries, seed: int) -> None:
        """See `BlackBoxMethod`."""
        table, rng = queries.table, np.random.default_rng(seed)
        while True:
            current = int(rng.integers(len(table)))
            cost, is_moving = queries(current), True
            while is_moving:
                is_moving = False
                for neighbour in rng.permutation(table.neighbours(current)).tolist():
                    if queries(neighbour) < cost:
                        current, cost, is_moving = neighbour, queries(neighbour), True
                        break
