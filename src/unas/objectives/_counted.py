"""Costs that are counted.

They are exact under the policy where they are a sum over choices; else they are counted for each
architecture that is drawn.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Sample
from unas.costs.gauges import Counter
from unas.costs.table import CostTable
from unas.costs.tabulating import exact_table, fitted_table
from unas.objectives._resource import LimitTerm, RunningCost
from unas.objectives.base import Setting


@dataclass(frozen=True)
class CountedTerm(LimitTerm):
    """How far a count of the network is over a limit.

    Attributes:
        is_sum: the count may be a sum over an architecture's choices, which is then tested.
    """

    is_sum: ClassVar[bool] = True

    @abstractmethod
    def count(self, network: nn.Module, image_shape: tuple[int, int, int]) -> float:
        """Return the count of a network for an image (C, H, W)."""

    def start(self, setting: Setting) -> RunningCost:
        """See `CostTerm`."""
        return RunningCount(self, setting)


class Countable(Protocol):
    """What can be counted, and has a name: a `CountedQuantity` of `unas.budgets.quantities`."""

    name: ClassVar[str]

    def count(self, network: nn.Module, image_shape: tuple[int, int, int]) -> float:
        """Return the count of a network for an image (C, H, W)."""


@dataclass(frozen=True)
class CountOf(CountedTerm):
    """How far any count of the network is over a limit: the term of a budget.

    Args:
        of: what is counted.
    """

    of: Countable = field(kw_only=True)

    @property
    def quantity(self) -> str:  # type: ignore[override]
        """See `CostTerm`."""
        return self.of.name

    def count(self, network: nn.Module, image_shape: tuple[int, int, int]) -> float:
        """See `CountedTerm`."""
        return self.of.count(network, image_shape)


class RunningCount(RunningCost):
    """A counted cost during a search.

    Args:
        term: its options.
        setting: where it is used.
    """

    def __init__(self, term: CountedTerm, setting: Setting) -> None:
        super().__init__(term, setting, Counter(setting.blueprint, term.count))
        self.is_sum = term.is_sum
        self.use_few_draws()
        self._counts: dict[Genotype, float] = {}

    def make_table(self) -> tuple[CostTable, bool]:
        """See `RunningCost`."""
        start = time.monotonic()
        blueprint = self.setting.blueprint
        exact = None
        if self.is_sum:
            exact = exact_table(blueprint.space, self._count, blueprint.skeleton)
        table = exact or fitted_table(blueprint.space, self._count)
        self.setting.say(
            f"{self.term.quantity}: {'exact' if exact else 'approximate'} table of "
            f"{len(self._counts)} networks, {time.monotonic() - start:.1f} s"
        )
        return table, exact is not None

    def read(self, sample: Sample) -> Tensor:
        """See `RunningCost`: every rank counts, which needs no clock."""
        counts = [self._count(genotype) for genotype in sample.genotypes()]
        return torch.tensor(counts, dtype=sample.groups[0].dtype)

    def num_samples(self) -> int:
        """See `RunningCost`: each is counted, which takes as long as building a network."""
        return self.fewest()

    def _count(self, genotype: Genotype) -> float:
        if genotype not in self._counts:
            self._counts[genotype] = self.gauge(genotype).value
        return self._counts[genotype]
