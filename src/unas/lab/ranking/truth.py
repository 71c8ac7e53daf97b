"""What a table knows of each architecture of a space: its accuracy, and its rank among all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unas.architecture.genotype import Genotype
from unas.common.errors import UserError
from unas.lab.table import ArchitectureTable
from unas.spaces import SearchSpace

BEST_SHARE = 0.1  # of the table, where a supernet's ranking is looked at more closely


@dataclass(frozen=True)
class Place:
    """Where an architecture stands in a table.

    Args:
        accuracy: the table's figure.
        rank: 1 for the best; architectures that are equal have the same.
        percentile: the share of the other architectures that are worse, ties counted half, from 0
            to 100.
    """

    accuracy: float
    rank: int
    percentile: float


class Truth:
    """The architectures of a space in the order that a table gives them.

    Args:
        table: every architecture of the space.
        metric: the table's accuracy; more is better.
        space: the search space.

    Raises:
        UserError: the table is of another space, lacks an architecture or has no such metric.
    """

    def __init__(self, table: ArchitectureTable, metric: str, space: SearchSpace) -> None:
        _require_same_choices(table.choices, space)
        architectures = math.prod(len(options) for options in space.choices.values())
        if len(table) != architectures:
            raise UserError(
                f"the table has {len(table):,} architectures, but the {space.registry_name} space "
                f"has {architectures:,}; give a table of all"
            )
        self.table = table
        self.metric = metric
        self.accuracies = table.metric(metric)
        self._space = space.registry_name
        self._sorted = np.sort(self.accuracies)

    def __len__(self) -> int:
        return len(self.table)

    def place(self, choices: Mapping[str, str]) -> Place:
        """Return where an architecture stands, given the option of each choice."""
        return self.place_at(self.position(choices))

    def place_at(self, position: int) -> Place:
        """Return where the architecture at this position of the table stands."""
        accuracy = float(self.accuracies[position])
        worse = int(np.searchsorted(self._sorted, accuracy, "left"))
        not_better = int(np.searchsorted(self._sorted, accuracy, "right"))
        better = len(self) - not_better
        equal_others = not_better - worse - 1
        percentile = 100 * (worse + equal_others / 2) / max(1, len(self) - 1)
        return Place(accuracy, better + 1, percentile)

    def position(self, choices: Mapping[str, str]) -> int:
        """Return an architecture's position in the table."""
        row = [options.index(choices[name]) for name, options in self.table.choices.items()]
        position = self.table.position(row)
        assert position is not None  # noqa: S101 - the table has every architecture
        return position

    def genotype(self, position: int) -> Genotype:
        """Return the architecture at this position of the table."""
        row = self.table.rows[position].tolist()
        choices = {}
        for index, (name, options) in zip(row, self.table.choices.items(), strict=True):
            choices[name] = options[index]
        return Genotype(self._space, choices)

    def draw(
        self, count: int, generator: np.random.Generator, *, among_best: bool = False
    ) -> NDArray[np.int64]:
        """Return the positions of different architectures, drawn uniformly; all if they are fewer.

        Args:
            count: how many.
            generator: the source of chance.
            among_best: draw from the best tenth of the table alone.
        """
        positions = np.arange(len(self))
        if among_best:
            best_first = np.argsort(-self.accuracies, kind="stable")
            positions = best_first[: math.ceil(BEST_SHARE * len(self))]
        return generator.permutation(positions)[:count]


def _require_same_choices(choices: Mapping[str, tuple[str, ...]], space: SearchSpace) -> None:
    """Refuse a table whose choices or options are not those of the space.

    Raises:
        UserError: names the first that differs.
    """
    for name in (*space.choices, *choices):
        if name not in choices or name not in space.choices:
            where = "the table has no" if name not in choices else "the table has a"
            raise UserError(
                f"{where} choice {name!r}, unlike the {space.registry_name} space, which has "
                f"{', '.join(space.choices)}; give a table of that space"
            )
        if set(choices[name]) != set(space.choices[name]):
            raise UserError(
                f"choice {name!r} is one of {', '.join(choices[name])} in the table, and of "
                f"{', '.join(space.choices[name])} in the {space.registry_name} space; "
                "give a table of that space"
            )
