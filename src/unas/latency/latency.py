"""What a list of times says: median, spread, and how sure the median is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unas.latency.fingerprint import Fingerprint

CONFIDENCE = 0.95
# A spread from the 10th to the 90th percentile above this part of the median is called noisy
NOISY = 0.2


@dataclass(frozen=True)
class Latency:
    """The time of one forward of one batch.

    Args:
        median_ms: the median, in milliseconds.
        p10: the 10th percentile, in milliseconds.
        p90: the 90th percentile, in milliseconds.
        samples: how many runs they are taken from.
        device: where it ran, for example "cpu" or "cuda:0".
        backend: what ran it.
        low_ms: lower end of the median's 95 % confidence interval, in milliseconds.
        high_ms: its upper end.
        fingerprint: the machine, the versions and the input.
    """

    median_ms: float
    p10: float
    p90: float
    samples: int
    device: str
    backend: str
    low_ms: float
    high_ms: float
    fingerprint: Fingerprint

    @classmethod
    def of(cls, times: Sequence[float], fingerprint: Fingerprint) -> Latency:
        """Return what these times, in milliseconds, say."""
        p10, median, p90 = (float(value) for value in np.percentile(times, (10, 50, 90)))
        low, high = median_interval(times)
        return cls(
            median,
            p10,
            p90,
            len(times),
            fingerprint.device,
            fingerprint.backend,
            low,
            high,
            fingerprint,
        )

    @property
    def is_noisy(self) -> bool:
        """The times spread over more than a fifth of their median: something else was running, or clocks changed."""
        return self.p90 - self.p10 > NOISY * self.median_ms

    def line(self) -> str:
        """Return the figure for people, on one line."""
        noise = "; NOISY, measure again on a quiet machine" if self.is_noisy else ""
        return (
            f"{self.median_ms:.4g} ms (95 %: {self.low_ms:.4g} to {self.high_ms:.4g}; 10th to 90th percentile "
            f"{self.p10:.4g} to {self.p90:.4g}; {self.samples} samples{noise})"
        )


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return a confidence interval of the median of what `values` were drawn from, without assuming its shape.

    Each value is below the median with probability 1/2, so the k-th smallest and the k-th largest
    enclose it with probability 1 − 2·P(Binomial(n, 1/2) < k); k is the largest with at least 95 %.
    Below 6 values there is none, and the smallest and the largest are returned.
    """
    ordered, n = sorted(values), len(values)
    tail, k = 0.0, 0
    while tail + math.comb(n, k) / 2**n <= (1 - CONFIDENCE) / 2:
        tail += math.comb(n, k) / 2**n
        k += 1
    k = max(k, 1)
    return float(ordered[k - 1]), float(ordered[n - k])
