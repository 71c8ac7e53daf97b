"""Figures by step, thinned while they are read, so that a run of any length fits into memory."""

from __future__ import annotations

from dataclasses import dataclass

MAX_BINS = 160


@dataclass
class Bin:
    """Steps that follow on each other, as one point of a curve.

    Args:
        first: the first step with a figure.
        last: the last step with a figure.
        count: how many figures there are.
        total: the sum of the figures.
        low: the least figure.
        high: the largest figure.
    """

    first: int
    last: int
    count: int
    total: float
    low: float
    high: float

    @property
    def mean(self) -> float:
        """The mean figure."""
        return self.total / self.count

    @property
    def step(self) -> float:
        """The middle of the steps."""
        return (self.first + self.last) / 2

    def take(self, other: Bin) -> None:
        """Take in the figures of another bin."""
        self.first = min(self.first, other.first)
        self.last = max(self.last, other.last)
        self.count += other.count
        self.total += other.total
        self.low = min(self.low, other.low)
        self.high = max(self.high, other.high)


class Series:
    """One figure over the steps of a phase.

    Every bin covers equally many steps; when there are too many bins, pairs of them become one.

    Attributes:
        last: the figure that was added last.
    """

    def __init__(self) -> None:
        self.last = 0.0
        self._width = 1
        self._bins: dict[int, Bin] = {}

    def add(self, step: int, value: float) -> None:
        """Add the figure of a step."""
        self.last = value
        self._put(Bin(step, step, 1, float(value), value, value))
        while len(self._bins) > MAX_BINS:
            narrow_bins = self._bins.values()
            self._bins = {}
            self._width *= 2
            for narrow_bin in narrow_bins:
                self._put(narrow_bin)

    def bins(self) -> list[Bin]:
        """Return the bins, in the order of their steps."""
        return [self._bins[key] for key in sorted(self._bins)]

    def _put(self, new: Bin) -> None:
        key = new.first // self._width
        if key in self._bins:
            self._bins[key].take(new)
        else:
            self._bins[key] = new
