"""Figures by step, thinned while they are read: a run of any length takes a few hundred bins of memory."""

from __future__ import annotations

from dataclasses import dataclass

MAX_BINS = 160


@dataclass
class Bin:
    """Steps that follow on each other, as one point of a curve.

    Args:
        first: the first step with a figure.
        last: the last one.
        count: how many figures there are.
        total: their sum.
        low: the least.
        high: the largest.
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
        """The middle of its steps."""
        return (self.first + self.last) / 2

    def take(self, other: Bin) -> None:
        """Take in the figures of another bin."""
        self.first, self.last = min(self.first, other.first), max(self.last, other.last)
        self.count, self.total = self.count + other.count, self.total + other.total
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)


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
            bins, self._bins, self._width = self._bins, {}, 2 * self._width
            for each in bins.values():
                self._put(each)

    def bins(self) -> list[Bin]:
        """Return the bins, in the order of their steps."""
        return [each for _, each in sorted(self._bins.items())]

    def _put(self, new: Bin) -> None:
        key = new.first // self._width
        if key in self._bins:
            self._bins[key].take(new)
        else:
            self._bins[key] = new
