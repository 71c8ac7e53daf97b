"""The latency of a network: median and spread of a list of times, and how sure the median is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unas.costs.reading import Reading
from unas.latency.fingerprint import Fingerprint

CONFIDENCE = 0.95
NOISY = 0.2  # the 10th and 90th percentile may be this part of the median apart without noise
NOISY_NOTE = "noisy, measure again on a quiet machine"


@dataclass(frozen=True)
class Latency:
    """The time of one forward of one batch.

    Args:
        median_ms: the median, in milliseconds.
        p10: the 10th percentile, in milliseconds.
        p90: the 90th percentile, in milliseconds.
        samples: how many runs the figures are taken from.
        device: where the network ran, for example "cpu" or "cuda:0".
        backend: the name of the backend that ran the network.
        low_ms: lower end of the median's 95 % confidence interval, in milliseconds.
        high_ms: upper end of the median's 95 % confidence interval, in milliseconds.
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
        """Return the latency that was measured as these times, in milliseconds."""
        p10, median, p90 = np.percentile(times, (10, 50, 90)).tolist()
        low, high = median_interval(times)
        return cls(
            median_ms=median,
            p10=p10,
            p90=p90,
            samples=len(times),
            device=fingerprint.device,
            backend=fingerprint.backend,
            low_ms=low,
            high_ms=high,
            fingerprint=fingerprint,
        )

    @property
    def batch(self) -> int:
        """How many images a forward takes."""
        return self.fingerprint.batch_size

    @property
    def is_noisy(self) -> bool:
        """Whether something else was running: the times spread over a fifth of their median."""
        return self.p90 - self.p10 > NOISY * self.median_ms

    def reading(self) -> Reading:
        """Return the median with its interval, in milliseconds."""
        note = NOISY_NOTE if self.is_noisy else ""
        return Reading(self.median_ms, self.low_ms, self.high_ms, note)

    def line(self) -> str:
        """Return the figure for people, on one line."""
        noise = f"; {NOISY_NOTE}" if self.is_noisy else ""
        return (
            f"{self.median_ms:.4g} ms (95 %: {self.low_ms:.4g} to {self.high_ms:.4g}; "
            f"10th to 90th percentile {self.p10:.4g} to {self.p90:.4g}; "
            f"{self.samples} samples{noise})"
        )


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return a 95 % confidence interval of a distribution's median, whatever its shape.

    Args:
        values: drawn from the distribution. Below 6 there is no such interval, and the smallest
            and the largest are returned.
    """
    # Each value is below the median with probability 1/2, so the k-th smallest and the k-th largest
    # enclose it with probability 1 − 2·P(Binomial(n, 1/2) < k); k is the largest with 95 %.
    ordered = sorted(values)
    n = len(ordered)
    tail = 0.5**n
    k = 0
    while tail <= (1 - CONFIDENCE) / 2:
        k += 1
        tail += math.comb(n, k) / 2**n
    k = max(k, 1)
    return float(ordered[k - 1]), float(ordered[n - k])
