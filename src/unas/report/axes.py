"""Scales and their ticks: from values to pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from unas.common.text import readable_number

_SMALL = 1e-30


@dataclass(frozen=True)
class Scale:
    """An axis.

    Args:
        low: the value at its start.
        high: the value at its end.
        start: the pixel where it begins.
        end: the pixel where it ends.
        ticks: the values that are marked.
        is_log: equal distances are equal ratios, not equal differences.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; one beyond the axis is at its end."""
        value = min(max(value, self.low), self.high)
        if self.is_log:
            share = math.log10(value / self.low) / math.log10(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def labels(self) -> list[tuple[float, str]]:
        """Return (pixel, label) of every tick."""
        return [(self(tick), readable_number(tick)) for tick in self.ticks]


def scale(
    values: Iterable[float],
    start: float,
    end: float,
    *,
    is_tight: bool = False,
    most: int = 5,
    finest: float = 0.0,
) -> Scale:
    """Return the axis that shows all values.

    Args:
        values: what must be on it; anything finite.
        start: the pixel where it begins.
        end: the pixel where it ends.
        is_tight: the axis ends at the values, not at ticks.
        most: how many ticks it has at most.
        finest: the least distance of its ticks.
    """
    low, high = _apart(values)
    size = max(tick_size(high - low, most), finest)
    if not is_tight:
        low = min(low, size * math.floor(low / size + 1e-9))
        high = max(high, size * math.ceil(high / size - 1e-9))
    lowest_tick = math.ceil(low / size - 1e-9)
    highest_tick = math.floor(high / size + 1e-9)
    ticks = tuple(size * n for n in range(lowest_tick, highest_tick + 1))
    return Scale(low, high, start, end, ticks)


def log_scale(values: Iterable[float], start: float, end: float) -> Scale:
    """Return the logarithmic axis that shows all values, which are above 0; see `scale`."""
    values = list(values)
    low = math.floor(math.log10(min(values)))
    high = max(math.ceil(math.log10(max(values))), low + 1)
    powers = range(low, high + 1, math.ceil((high - low) / 5))
    ticks = tuple(10.0**power for power in powers)
    return Scale(10.0**low, 10.0**high, start, end, ticks, is_log=True)


def tick_size(span: float, most: int) -> float:
    """Return the least distance of ticks that needs at most `most` of them on a span.

    It is 1, 2 or 5 times a power of ten.
    """
    least = span / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(least))
    # Up to 20, since a power that is rounded down may be one too small.
    return next(step * power for step in (1, 2, 5, 10, 20) if step * power >= least * (1 - 1e-9))


def _apart(values: Iterable[float]) -> tuple[float, float]:
    """Return the least and the largest value, moved apart where they are the same."""
    values = list(values) or [0.0]
    low = min(values)
    high = max(values)
    if high - low > max(abs(low), abs(high)) * 1e-9 and high - low > _SMALL:
        return low, high
    margin = abs(low) / 2 if abs(low) > _SMALL else 0.5
    return low - margin, high + margin
