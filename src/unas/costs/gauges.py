"""Gauges: what reads a cost of the network that an architecture becomes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unas.architecture.genotype import Genotype
from unas.costs.reading import Reading
from unas.spaces import Blueprint

# Counts a network for one image of a shape (C, H, W).
Count = Callable[[nn.Module, tuple[int, int, int]], float]


@dataclass(frozen=True)
class Gauge(ABC):
    """Reads one cost of the network that an architecture becomes.

    Args:
        blueprint: how an architecture becomes a network.

    Attributes:
        is_exact: it counts.
    """

    is_exact: ClassVar[bool] = False

    blueprint: Blueprint

    @property
    @abstractmethod
    def where(self) -> str:
        """The device that the network runs on while it is read."""

    @property
    @abstractmethod
    def runs_files(self) -> bool:
        """Whether what is read of a network can be read of its ONNX file too."""

    @abstractmethod
    def of(self, network: nn.Module) -> Reading:
        """Return the figure of a network.

        Raises:
            UserError: it can't be measured here.
        """

    def __call__(self, genotype: Genotype) -> Reading:
        """Return the figure of an architecture's untrained network; see `of`."""
        return self.of(self.blueprint.network(genotype).eval())


@dataclass(frozen=True)
class Counter(Gauge):
    """Counts, which needs neither a clock nor memory for the weights.

    Args:
        count: counts one network.
    """

    is_exact: ClassVar[bool] = True

    count: Count

    @property
    def where(self) -> str:
        """See `Gauge`: nothing runs."""
        return "cpu"

    @property
    def runs_files(self) -> bool:
        """See `Gauge`: the graph of a file is counted as a network is."""
        return True

    def of(self, network: nn.Module) -> Reading:
        """See `Gauge`."""
        return Reading.exact(self.count(network, self.blueprint.image_shape))

    def __call__(self, genotype: Genotype) -> Reading:
        """See `Gauge`."""
        return self.of(self.blueprint.skeleton(genotype))
