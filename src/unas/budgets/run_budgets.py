"""The budgets of a run: asked before it, while it chooses, of its choice and of its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

import numpy as np
from torch import nn

from unas.architecture.genotype import Genotype
from unas.budgets.budget import Budget
from unas.budgets.effort import Effort
from unas.budgets.onnx_file import OnnxFile
from unas.budgets.steering import steers_toward
from unas.budgets.verdicts import Verdict, judge
from unas.common.errors import UserError
from unas.compute.ranks import Ranks
from unas.costs.blocks import Block, random_genotypes
from unas.costs.reading import Reading
from unas.costs.table import CostTable, cheapest
from unas.objectives import RunningCost, RunningTerm
from unas.spaces import Blueprint

# How far below its limit a measured candidate must be to be taken without looking further.
MARGIN = 0.03
# How far above its limit an approximate table may predict a candidate that is still measured.
SLACK = 0.05
BEFORE_THE_FILE = Effort()
OF_THE_FILE = Effort(max_seconds=60.0)
LONGER = 4  # times the effort, where the interval holds the limit
DRAWN = 500  # architectures, where the cheapest of an approximate table is over the limit
TRIED = 4  # of those drawn, the ones that are predicted to be the cheapest

ONE_PROCESS = Ranks()
NOTHING_SEARCHED: Mapping[str, RunningTerm] = MappingProxyType({})


class RunBudgets:
    """What the network of a run may cost, and what its architectures cost.

    What is read of an architecture is remembered, so that it is measured once in a run.

    Args:
        budgets: at most one for each quantity and backend.
        blueprint: how an architecture becomes the network that is deployed.
        device: the device of the run.
        terms: the started terms of the search, by name; none where nothing is searched.
        ranks: the processes of the run; rank 0 measures for all.
        say: gets a line where something is told.

    Attributes:
        budgets: as given.
        gauges: what reads each budget's quantity of an architecture's network.
        costs: the term of the search that steers toward each budget; none where nothing is
            searched.
    """

    def __init__(
        self,
        budgets: Sequence[Budget],
        blueprint: Blueprint,
        device: str = "cpu",
        terms: Mapping[str, RunningTerm] = NOTHING_SEARCHED,
        *,
        ranks: Ranks = ONE_PROCESS,
        say: Callable[[str], None] = print,
    ) -> None:
        self.budgets = tuple(budgets)
        self.blueprint = blueprint
        self.device = device
        self.ranks = ranks
        self.say = say
        self.gauges = {
            budget: budget.gauge(blueprint, device, BEFORE_THE_FILE) for budget in self.budgets
        }
        self.costs: dict[Budget, RunningCost] = {}
        for budget in self.budgets:
            for term in terms.values():
                if isinstance(term, RunningCost) and steers_toward(term.term, budget):
                    self.costs.setdefault(budget, term)
        self._readings: dict[tuple[Budget, Genotype], Reading] = {}

    def __bool__(self) -> bool:
        return bool(self.budgets)

    # Before the run

    def require_possible(self) -> None:
        """Refuse a budget that even the cheapest architecture breaks; on rank 0 alone.

        Raises:
            UserError: says what the least possible is.
        """
        for budget in self.budgets:
            self._possible(budget)

    def _possible(self, budget: Budget) -> Reading:
        """Return the least that an architecture costs; refuse a budget that is below it."""
        least = self.least(budget)
        if least.low > budget.limit:
            interval = ""
            if least.low < least.value:
                interval = f" (95 %: from {budget.show(least.low)})"
            raise UserError(
                f"budget {budget}: the least possible is {budget.show(least.value)}{interval}, "
                "of the cheapest architecture's network; "
                "raise the limit, or make the network smaller"
            )
        return least

    def require_met(self, genotype: Genotype) -> None:
        """Refuse an architecture whose untrained network breaks a budget by more than noise.

        On rank 0 alone.

        Raises:
            UserError: says what it costs.
        """
        for budget in self.budgets:
            reading = self._reading_here(budget, genotype)
            if reading.low > budget.limit:
                raise UserError(
                    f"budget {budget}: the network of this genotype costs "
                    f"{budget.show(reading.value)}; raise the limit, or take another genotype or a "
                    "smaller network"
                )

    def preview(self) -> dict[str, str]:
        """Return what can be said in seconds of the least possible, by budget.

        Raises:
            UserError: it is over the limit.
        """
        says = {}
        for budget in self.budgets:
            says[str(budget)] = "measured before the search"
            if self.gauges[budget].is_exact and budget in self.costs:
                says[str(budget)] = f"least possible {budget.show(self._possible(budget).value)}"
        return says

    def least(self, budget: Budget) -> Reading:
        """Return the least that an architecture costs, of those that are tried.

        It is the least possible where a table is exact. Elsewhere the cheapest one of the table is
        read, and if it is over the limit, the cheapest of some that are drawn.
        """
        cost = self.costs[budget]
        table = cost.known()
        readings = [self._reading_here(budget, table.least())]
        if not cost.is_exact and readings[0].low > budget.limit:
            drawn = random_genotypes(self.blueprint.space, DRAWN, np.random.default_rng(0))
            drawn.sort(key=table.of)
            readings += [self._reading_here(budget, genotype) for genotype in drawn[:TRIED]]
        return min(readings, key=lambda reading: reading.low)

    # While an architecture is chosen

    def admits(self, genotype: Genotype) -> bool:
        """Return whether an architecture may meet all budgets, as they are counted or predicted.

        Nothing is measured.
        """
        return all(self._admits(budget, genotype) for budget in self.budgets)

    def within(self, genotype: Genotype, margin: float = MARGIN) -> bool:
        """Return whether an architecture's untrained network meets all budgets.

        Args:
            genotype: the architecture.
            margin: the part of a limit by which a measured figure must stay below it.
        """
        for budget in self.budgets:
            is_exact = self.gauges[budget].is_exact
            most = budget.limit if is_exact else (1 - margin) * budget.limit
            if self._reading(budget, genotype).high > most:
                return False
        return True

    def cheapest(self) -> Genotype:
        """Return the architecture whose worst cost, relative to its limit, is the least.

        It is the best of the cheapest of each budget, and of all of them together.
        """
        tables = self._tables()
        genotypes = [table.least() for table in tables.values()]
        if len({table.blocks for table in tables.values()}) == 1:
            limits = [budget.limit for budget in tables]
            genotypes.append(cheapest(list(tables.values()), limits))

        def worst(genotype: Genotype) -> float:
            return max(table.of(genotype) / budget.limit for budget, table in tables.items())

        return min(genotypes, key=worst)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The choices that cost something together."""
        return self.costs[self.budgets[0]].known().blocks

    # Of what was chosen, and of its file

    def verdicts(self, genotype: Genotype) -> list[Verdict]:
        """Return the verdict on an architecture's untrained network for each budget."""
        return [judge(budget, self._reading(budget, genotype)) for budget in self.budgets]

    def verdicts_of_file(self, path: Path, network: nn.Module) -> list[Verdict]:
        """Return the verdict on what a run delivers for each budget.

        What a first measurement leaves open, a longer one decides.

        Args:
            path: the exported ONNX file.
            network: the network that was exported, for what only PyTorch can run.

        Raises:
            UserError: something can't be measured here.
        """
        file = OnnxFile(path, self.blueprint.image_shape)
        verdicts = []
        for budget in self.budgets:
            verdict = judge(budget, self._delivered(budget, file, network, OF_THE_FILE))
            if verdict.is_undecided:
                longer = OF_THE_FILE.times(LONGER)
                verdict = judge(budget, self._delivered(budget, file, network, longer))
            verdicts.append(verdict)
        return verdicts

    def _delivered(
        self, budget: Budget, file: OnnxFile, network: nn.Module, effort: Effort
    ) -> Reading:
        gauge = budget.gauge(self.blueprint, self.device, effort)
        if gauge.runs_files:
            return budget.of_file(file, gauge.where, effort)
        return gauge.of(network)

    def _admits(self, budget: Budget, genotype: Genotype) -> bool:
        cost = self.costs[budget]
        if cost.is_exact:
            return cost.known().of(genotype) <= budget.limit
        if self.gauges[budget].is_exact:
            return self._reading_here(budget, genotype).value <= budget.limit
        return cost.known().of(genotype) <= (1 + SLACK) * budget.limit

    def _tables(self) -> dict[Budget, CostTable]:
        return {budget: cost.known() for budget, cost in self.costs.items()}

    def _reading(self, budget: Budget, genotype: Genotype) -> Reading:
        """Return what rank 0 has counted or measured."""
        figures = self.ranks.on_main(lambda: asdict(self._reading_here(budget, genotype)))
        return Reading(**figures)

    def _reading_here(self, budget: Budget, genotype: Genotype) -> Reading:
        key = (budget, genotype)
        if key not in self._readings:
            self._readings[key] = self.gauges[budget](genotype)
        return self._readings[key]
