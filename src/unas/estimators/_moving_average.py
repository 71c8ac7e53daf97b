"""An average of the past that forgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from unas.estimators.base import State


@dataclass(frozen=True)
class MovingAverage(State):
    """An exponential average that is right from its first value on (bias-corrected as in Adam).

    Args:
        total: the sum of all values, each with the weight that it still has.
        weight: the sum of these weights.
    """

    total: float = 0.0
    weight: float = 0.0

    @property
    def value(self) -> float:
        """The average so far, 0 before the first value."""
        return self.total / self.weight if self.weight else 0.0

    def after(self, value: float, decay: float) -> MovingAverage:
        """Return the average with one more value, which keeps `decay` of the history."""
        total = decay * self.total + (1 - decay) * value
        weight = decay * self.weight + (1 - decay)
        return MovingAverage(total, weight)

    def to_dict(self) -> dict[str, float]:
        """See `State`."""
        return {"total": self.total, "weight": self.weight}

    def from_dict(self, saved: Mapping[str, Any]) -> MovingAverage:
        """See `State`."""
        return MovingAverage(float(saved["total"]), float(saved["weight"]))
