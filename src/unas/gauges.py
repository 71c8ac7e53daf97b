"""What a network costs: counted exactly, or measured with an interval. One gauge for each quantity of a budget."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unas.counting import count_macs, count_parameters
from unas.deployment import Deployment
from unas.errors import UserError
from unas.genotype import Genotype
from unas.latency import Latency, measure
from unas.latency.backends import Backend
from unas.latency.backends.onnxruntime import OnnxRuntimeBackend
from unas.latency.energy import measure_energy
from unas.memory import peak_memory

Shape = tuple[int, int, int]

COUNTS: dict[str, Callable[[nn.Module, Shape], int]] = {
    "macs": count_macs,
    "params": lambda network, _: count_parameters(network),
    "memory": peak_memory,
}
TRIES = 3  # a noisy measurement is repeated; the least noisy one counts


@dataclass(frozen=True)
class Reading:
    """A figure of one network, for one image, in the base unit of its quantity.

    Args:
        value: the figure.
        low: the lower end of its 95 % interval; the value itself where it is counted.
        high: the upper end.
        note: what else to know.
    """

    value: float
    low: float
    high: float
    note: str = ""


@dataclass(frozen=True)
class Gauge(ABC):
    """Reads one quantity of the network that an architecture becomes.

    Args:
        deployment: the network's size, and where it runs.

    Attributes:
        is_exact: it counts.
    """

    is_exact: ClassVar[bool] = False

    deployment: Deployment

    @abstractmethod
    def __call__(self, genotype: Genotype) -> Reading:
        """Return the figure of an architecture's untrained network.

        Raises:
            UserError: it can't be measured here.
        """


@dataclass(frozen=True)
class Counter(Gauge):
    """Counts multiply-adds, parameters or bytes of activations.

    Args:
        quantity: a key of `COUNTS`.
    """

    is_exact: ClassVar[bool] = True

    quantity: str

    def __call__(self, genotype: Genotype) -> Reading:
        """See `Gauge`."""
        value = COUNTS[self.quantity](self.deployment.skeleton(genotype), self.deployment.image_shape)
        return Reading(value, value, value)


@dataclass(frozen=True)
class Stopwatch(Gauge):
    """Measures milliseconds.

    Args:
        backend: what runs the network.
        samples: how many runs a figure is taken from.
    """

    backend: Backend
    samples: int = 50

    @property
    def device(self) -> str:
        """Where the backend runs the network: ONNX Runtime's is the CPU, a command's is its own business."""
        is_elsewhere = self.backend.is_remote or isinstance(self.backend, OnnxRuntimeBackend)
        return "cpu" if is_elsewhere else self.deployment.device

    def __call__(self, genotype: Genotype) -> Reading:
        """See `Gauge`."""
        return self.of(self.deployment.network(genotype).eval())

    def of(self, network: nn.Module) -> Reading:
        """Return the figure of any network."""
        shape = self.deployment.image_shape
        found = quietest(lambda: measure(network, shape, self.backend, self.device, samples=self.samples))
        if not 0 <= found.median_ms < math.inf:
            raise UserError(f"backend {found.backend}: a latency of {found.median_ms} ms was measured")
        note = "noisy, measure again on a quiet machine" if found.is_noisy else ""
        return Reading(found.median_ms, found.low_ms, found.high_ms, note)


@dataclass(frozen=True)
class EnergyMeter(Gauge):
    """Measures millijoules, with ONNX Runtime on the CPU, or with PyTorch where the device is a GPU.

    Args:
        window_seconds: how long each of six stretches of time is.
    """

    window_seconds: float = 0.1

    @property
    def backend(self) -> str:
        """What runs the network."""
        return "onnxruntime" if self.deployment.device == "cpu" else "eager"

    def __call__(self, genotype: Genotype) -> Reading:
        """See `Gauge`."""
        return self.of(self.deployment.network(genotype).eval())

    def of(self, network: nn.Module) -> Reading:
        """Return the figure of any network."""
        where, seconds = self.deployment, self.window_seconds
        found = measure_energy(
            network, where.image_shape, self.backend, where.device, windows=6, window_seconds=seconds
        )
        return Reading(found.median_mj, found.low_mj, found.high_mj, found.counter)


def quietest(measured: Callable[[], Latency]) -> Latency:
    """Return a measurement; a noisy one is repeated up to twice, and the one with the least relative spread counts."""
    found: list[Latency] = []
    while len(found) < TRIES and not (found and not found[-1].is_noisy):
        found.append(measured())
    return min(found, key=lambda each: (each.p90 - each.p10) / each.median_ms if each.median_ms else 0.0)
