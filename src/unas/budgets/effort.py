"""How much is measured for a verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Effort:
    """How much is measured for a verdict.

    Args:
        samples: how many runs a latency is taken from.
        max_seconds: the most that one measurement of a latency takes.
        windows: how many stretches of time an energy is taken from.
        threads: CPU threads; None for as many as PyTorch has.
    """

    samples: int = 100
    max_seconds: float = 10.0
    windows: int = 9
    threads: int | None = None

    def times(self, factor: int) -> Effort:
        """Return the effort with so many times the samples and windows, in the same seconds."""
        return replace(self, samples=factor * self.samples, windows=factor * self.windows)
