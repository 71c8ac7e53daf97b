"""Gauges that measure: milliseconds with a backend, millijoules with a counter of the machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from unas.common.errors import UserError
from unas.costs.gauges import Gauge
from unas.costs.reading import Reading
from unas.latency import Latency, measure
from unas.latency.backends import Backend
from unas.latency.backends.eager import EagerBackend
from unas.latency.backends.onnxruntime import OnnxRuntimeBackend
from unas.latency.energy import MIN_WINDOWS, measure_energy
from unas.latency.measurement import MAX_SECONDS, SAMPLES

TRIES = 3  # a noisy measurement is repeated; the least noisy one counts


@dataclass(frozen=True)
class Stopwatch(Gauge):
    """Measures milliseconds.

    Args:
        backend: what runs the network.
        device: the device of the run, where the backend measures if it can.
        batch: how many images a forward takes.
        samples: how many runs a figure is taken from.
        max_seconds: the most that one measurement takes.
    """

    backend: Backend
    device: str = "cpu"
    batch: int = 1
    samples: int = SAMPLES
    max_seconds: float = MAX_SECONDS

    @property
    def where(self) -> str:
        """See `Gauge`."""
        return self.backend.device_for(self.device)

    @property
    def runs_files(self) -> bool:
        """See `Gauge`."""
        return self.backend.runs_files

    def of(self, network: nn.Module) -> Reading:
        """See `Gauge`."""
        latency = quietest(
            lambda: measure(
                network,
                (self.batch, *self.blueprint.image_shape),
                self.backend,
                self.where,
                samples=self.samples,
                max_seconds=self.max_seconds,
            )
        )
        if not 0 <= latency.median_ms < math.inf:
            raise UserError(
                f"backend {latency.backend}: a latency of {latency.median_ms} ms was measured"
            )
        return latency.reading()


@dataclass(frozen=True)
class EnergyMeter(Gauge):
    """Measures millijoules: with ONNX Runtime on the CPU, with PyTorch on a GPU.

    Args:
        device: the device of the run.
        windows: how many stretches of time a figure is taken from.
        window_seconds: how long each stretch of time is.
    """

    device: str = "cpu"
    windows: int = MIN_WINDOWS
    window_seconds: float = 0.1

    @property
    def backend(self) -> Backend:
        """What runs the network."""
        return OnnxRuntimeBackend() if self.device == "cpu" else EagerBackend()

    @property
    def where(self) -> str:
        """See `Gauge`."""
        return self.device

    @property
    def runs_files(self) -> bool:
        """See `Gauge`."""
        return self.backend.runs_files

    def of(self, network: nn.Module) -> Reading:
        """See `Gauge`."""
        energy = measure_energy(
            network,
            self.blueprint.image_shape,
            self.backend,
            self.device,
            windows=self.windows,
            window_seconds=self.window_seconds,
        )
        return energy.reading()


def quietest(measured: Callable[[], Latency]) -> Latency:
    """Return the measurement with the least relative spread of up to three.

    The first one that is not noisy ends it.
    """
    latencies = [measured()]
    while latencies[-1].is_noisy and len(latencies) < TRIES:
        latencies.append(measured())
    return min(latencies, key=_relative_spread)


def _relative_spread(latency: Latency) -> float:
    if not latency.median_ms:
        return 0.0
    return (latency.p90 - latency.p10) / latency.median_ms
