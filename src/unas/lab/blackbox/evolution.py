"""Regularised evolution."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from unas.common.errors import UserError
from unas.lab.blackbox.base import BlackBoxMethod
from unas.lab.queries import Queries
from unas.lab.table import ArchitectureTable


@dataclass(frozen=True)
class Evolution(BlackBoxMethod):
    """Mutate the best of a random few.

    The oldest dies, however good it is (Real et al. 2019, algorithm 1).

    A mutation changes one choice, picked at random, to another option, picked at random.

    Args:
        population: P, how many are alive. The paper has 100 and asks for 20,000 architectures; of
            six settings tried with 200, this one did best.
        tournament: S, how many are drawn to find a parent; 25 in the paper.
    """

    population: int = 20
    tournament: int = 10

    def __post_init__(self) -> None:
        if not 1 <= self.tournament <= self.population:
            raise UserError(
                f"tournament is {self.tournament}; it must be from 1 to population, "
                f"{self.population}"
            )

    def search(self, queries: Queries, seed: int) -> None:
        """See `BlackBoxMethod`."""
        table, rng = queries.table, np.random.default_rng(seed)
        alive: deque[tuple[float, int]] = deque()
        for position in rng.permutation(len(table))[: self.population].tolist():
            alive.append((queries(position), position))
        while True:
            drawn = rng.choice(len(alive), min(self.tournament, len(alive)), replace=False)
            _, parent = min(alive[i] for i in drawn.tolist())
            child = mutate(table, parent, rng)
            alive.append((queries(child), child))
            alive.popleft()


def mutate(table: ArchitectureTable, parent: int, rng: np.random.Generator) -> int:
    """Return a listed architecture that differs from `parent` in one choice.

    Where there is none, it is any listed one.
    """
    neighbours = table.neighbours(parent)
    if not len(neighbours):
        return int(rng.integers(len(table)))
    changed = (table.rows[neighbours] != table.rows[parent]).argmax(1)
    return int(rng.choice(neighbours[changed == rng.choice(np.unique(changed))]))
