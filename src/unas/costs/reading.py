"""The figure of one network: a value with its 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """A figure of one network, for one image, in the base unit of its quantity.

    Args:
        value: the figure.
        low: lower end of its 95 % interval; the value itself where it is counted.
        high: upper end of its 95 % interval; the value itself where it is counted.
        note: what else to know, for example that the measurement was noisy.
    """

    value: float
    low: float
    high: float
    note: str = ""

    @classmethod
    def exact(cls, value: float) -> Reading:
        """Return a figure that was counted."""
        return cls(value, value, value)
