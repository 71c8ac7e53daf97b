"""What a network costs, as a figure with an interval: the gauge of a quantity, and the one that counts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unas.architecture.genotype import Genotype
from unas.graphs.memory import peak_memory
from unas.graphs.size import count_macs, count_parameters
from unas.spaces import Blueprint

Shape = tuple[int, int, int]
COUNTS: dict[str, Callable[[nn.Module, Shape], int]] = {
    "macs": count_macs,
    "params": lambda network, _: count_parameters(network),
    "memory": peak_memory,
}


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
        blueprint: how an architecture becomes a network.

    Attributes:
        is_exact: it counts.
    """

    is_exact: ClassVar[bool] = False

    blueprint: Blueprint

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
        skeleton = self.blueprint.skeleton(genotype)
        value = COUNTS[self.quantity](skeleton, self.blueprint.image_shape)
        return Reading(value, value, value)
