"""A table of architectures whose metrics are known: what black-box search is tried on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unas.architecture.policy import Layout, Sample
from unas.common.errors import UserError
from unas.common.registry import one_of


@dataclass(frozen=True, eq=False)
class ArchitectureTable:
    """N different architectures of C choices, and the metrics of each.

    Args:
        choices: the options of each choice, by the choice's name.
        rows: [N, C], the index of the option that an architecture has for each choice.
        metrics: [N] by the metric's name.

    Raises:
        UserError: there is no architecture, or one is there twice.
    """

    choices: Mapping[str, tuple[str, ...]]
    rows: NDArray[np.int64]
    metrics: Mapping[str, NDArray[np.float64]]

    def __post_init__(self) -> None:
        if not len(self.rows):
            raise UserError("the table has no architecture; it needs a line for each")
        if len(self._positions) < len(self.rows):
            first, again = _first_repeat(self.rows)
            raise UserError(
                f"architectures {first + 1} and {again + 1} of the table are the same; keep one "
                "of them"
            )

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def layout(self) -> Layout:
        """The choices, as a policy wants them."""
        return Layout(self.choices, "table")

    @cached_property
    def _positions(self) -> dict[tuple[int, ...], int]:
        return {tuple(row): position for position, row in enumerate(self.rows.tolist())}

    def metric(self, name: str) -> NDArray[np.float64]:
        """Return a metric, [N].

        Raises:
            UserError: the table doesn't have it.
        """
        if name not in self.metrics:
            raise UserError(
                f"metric {name!r} is not in the table; {one_of(name, tuple(self.metrics))}"
            )
        return self.metrics[name]

    def costs(self, metric: str, *, minimize: bool) -> NDArray[np.float64]:
        """Return the metric, [N], with the sign that makes smaller better."""
        return self.metric(metric) if minimize else -self.metric(metric)

    def position(self, options: Sequence[int]) -> int | None:
        """Return the index of the architecture with these options; None where it isn't listed."""
        return self._positions.get(tuple(options))

    def nearest(self, options: Sequence[int]) -> int:
        """Return the listed architecture that differs in the fewest choices.

        Of several it is the first.
        """
        found = self.position(options)
        return int((self.rows != np.array(options)).sum(1).argmin()) if found is None else found

    def neighbours(self, position: int) -> NDArray[np.int64]:
        """Return all listed architectures that differ from this one in exactly one choice."""
        return np.flatnonzero((self.rows != self.rows[position]).sum(1) == 1)

    def options(self, sample: Sample) -> list[tuple[int, ...]]:
        """Return the options, by index, of each architecture of a hard sample."""
        picks = sample.picks
        return list(zip(*(picks[name] for name in self.choices), strict=True))

    @cached_property
    def features(self) -> Tensor:
        """All architectures one-hot, [N, ΣK] float64."""
        return self.one_hot(self.rows)

    def one_hot(self, rows: NDArray[np.int64]) -> Tensor:
        """Return architectures, options [m, C], one-hot in a sample's order: [m, ΣK]."""
        columns = dict(zip(self.choices, torch.from_numpy(rows.T.copy()), strict=True))
        hot = (
            torch.nn.functional.one_hot(columns[name], len(self.choices[name]))
            for names in self.layout.groups
            for name in names
        )
        return torch.cat(tuple(hot), 1).double()


def _first_repeat(rows: NDArray[np.int64]) -> tuple[int, int]:
    seen: dict[tuple[int, ...], int] = {}
    for position, row in enumerate(map(tuple, rows.tolist())):
        if row in seen:
            return seen[row], position
        seen[row] = position
    raise ValueError("no architecture is there twice")
