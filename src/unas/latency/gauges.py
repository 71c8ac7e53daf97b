"""Gauges that measure: milliseconds with a backend, millijoules with a counter of the machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from unas.architecture.genotype import Genotype
from unas.common.errors import UserError
from unas.costs.gauges import Gauge, Reading
from unas.latency import Latency, measure
from unas.latency.backends import Backend
from unas.latency.backends.onnxruntime import OnnxRuntimeBackend
from unas.latency.energy import measure_energy

TRIES = 3  # a noisy measurement is repeated; the least noisy one counts


@dataclass(frozen=True)
class Stopwatch(Gauge):
    """Measures milliseconds.

    Args:
        backend: what runs the network.
        device: where PyTorch runs the network, for a backend that is PyTorch.
        samples: how many runs a figure is taken from.
    """

    backend: Backend
    device: str = "cpu"
    samples: int = 50

    @property
    def where(self) -> str:
        """Where the backend runs the network: ONNX Runtime's is the CPU, a command's is its own business."""
        is_elsewhere = self.backend.is_remote or isinstance(self.backend, OnnxRuntimeBackend)
        return "cpu" if is_elsewhere else self.device

    def __call__(self, genotype: Genotype) -> Reading:
        """See `Gauge`."""
        return self.of(self.blueprint.network(genotype).eval())

    def of(self, network: nn.Module) -> Reading:
        """Return the figure of any network."""
        shape = self.blueprint.image_shape
        found = quietest(
            lambda: measure(network, shape, self.backend, self.where, samples=self.samples)
        )
        if not 0 <= found.median_ms < math.inf:
            raise UserError(
                f"backend {found.backend}: a latency of {found.median_ms} ms was measured"
            )
        note = "noisy, measure again on a quiet machine" if found.is_noisy else ""
        return Reading(found.median_ms, found.low_ms, found.high_ms, note)


@dataclass(frozen=True)
class EnergyMeter(Gauge):
    """Measures millijoules, with ONNX Runtime on the CPU, or with PyTorch where the device is a GPU.

    Args:
        device: where PyTorch runs the network; "cpu" for ONNX Runtime.
        window_seconds: how long each of six stretches of time is.
    """

    device: str = "cpu"
    window_seconds: float = 0.1

    @property
    def backend(self) -> str:
        """What runs the network."""
        return "onnxruntime" if self.device == "cpu" else "eager"

    def __call__(self, genotype: Genotype) -> Reading:
        """See `Gauge`."""
        return self.of(self.blueprint.network(genotype).eval())

    def of(self, network: nn.Module) -> Reading:
        """Return the figure of any network."""
        found = measure_energy(
            network,
            self.blueprint.image_shape,
            self.backend,
            self.device,
            windows=6,
            window_seconds=self.window_seconds,
        )
        return Reading(found.median_mj, found.low_mj, found.high_mj, found.counter)


def quietest(measured: Callable[[], Latency]) -> Latency:
    """Return a measurement; a noisy one is repeated up to twice, and the one with the least relative spread counts."""
    found: list[Latency] = []
    while len(found) < TRIES and not (found and not found[-1].is_noisy):
        found.append(measured())
    return min(
        found, key=lambda each: (each.p90 - each.p10) / each.median_ms if each.median_ms else 0.0
    )
