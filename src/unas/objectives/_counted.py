"""Costs that are counted: exact under the policy where they are a sum over choices, else counted for each draw."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Sample
from unas.costs.gauges import COUNTS, Counter
from unas.costs.table import CostTable, exact_table, fitted_table
from unas.objectives._resource import CostTerm, LimitTerm, RunningCost
from unas.objectives.base import Setting


@dataclass(frozen=True)
class CountedTerm(LimitTerm):
    """A cost that `unas.costs.gauges.Counter` counts."""

    def start(self, setting: Setting) -> RunningCost:
        """See `CostTerm`."""
        return RunningCount(self, setting)


class RunningCount(RunningCost):
    """A counted cost during a search.

    Args:
        term: its options.
        setting: where it is used.
    """

    def __init__(self, term: CostTerm, setting: Setting) -> None:
        super().__init__(term, setting, Counter(setting.blueprint, COUNTS[term.quantity]))
        self.use_few_draws()
        self._counts: dict[Genotype, float] = {}

    def make_table(self) -> tuple[CostTable, bool]:
        """See `RunningCost`."""
        start, space, quantity = time.monotonic(), self.setting.blueprint.space, self.term.quantity
        build = self.setting.blueprint.skeleton
        exact = (
            None if quantity == "memory" else exact_table(space, self._count, build)
        )  # a peak is no sum
        table = exact or fitted_table(space, self._count)
        how = "exact" if exact else "approximate"
        self.setting.say(
            f"{quantity}: {how} table of {len(self._counts)} networks, {time.monotonic() - start:.1f} s"
        )
        return table, exact is not None

    def read(self, sample: Sample) -> Tensor:
        """See `RunningCost`: every rank counts, which needs no clock."""
        return torch.tensor(
            [self._count(g) for g in sample.genotypes()], dtype=sample.groups[0].dtype
        )

    def num_samples(self) -> int:
        """See `RunningCost`: each is counted, which takes as long as building a network."""
        return self.fewest()

    def _count(self, genotype: Genotype) -> float:
        if genotype not in self._counts:
            self._counts[genotype] = self.gauge(genotype).value
        return self._counts[genotype]
