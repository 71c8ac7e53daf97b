"""How long searches and trainings took, and what random cells would have given for the time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import comb
from pathlib import Path

import numpy as np

from unas.common import documents
from unas.common.errors import UserError


class Seconds:
    """Seconds of whole runs, by the name of their directory, in a file.

    A run that was stopped in between has none: how long it took is not known.

    Args:
        path: the file; what it holds already stays.
        clock: seconds that never go back.

    Raises:
        UserError: the file is not what this class writes.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._by_name: dict[str, float] = {}
        if path.exists():
            try:
                for name, seconds in documents.read_json(path).items():
                    self._by_name[name] = float(seconds)
            except (AttributeError, TypeError, ValueError) as error:
                says = f"{path} is not what `unas lab quality` writes; remove it"
                raise UserError(says) from error

    @contextmanager
    def of(self, directory: Path) -> Iterator[None]:
        """Note how long the block takes, which makes a run's directory."""
        is_whole = not directory.exists()
        began = self._clock()
        yield
        if is_whole:
            self._by_name[directory.name] = self._clock() - began
            documents.write_json(self._path, self._by_name)

    def mean(self, prefix: str) -> float | None:
        """Return the mean of the runs whose names begin so; None where there are none."""
        seconds = [value for name, value in self._by_name.items() if name.startswith(prefix)]
        return float(np.mean(seconds)) if seconds else None


def expected_best(values: Sequence[float], count: int) -> float:
    """Return the mean of the largest of `count` values, over all choices of so many.

    Args:
        values: of n cells.
        count: from 1 to n.
    """
    n = len(values)
    # The i-th largest is the best of those with which count - 1 of the n - i smaller ones come.
    ways = [comb(n - position, count - 1) for position in range(1, n + 1)]
    ordered = sorted(values, reverse=True)
    total = sum(way * value for way, value in zip(ways, ordered, strict=True))
    return total / comb(n, count)
