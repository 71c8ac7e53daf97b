"""The contract: the budgets of a run held against architectures, before there is a file to measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from unas.architecture.genotype import Genotype
from unas.budgets.budget import Budget, Verdict, judge
from unas.common.errors import UserError
from unas.compute.ranks import Ranks
from unas.costs.blocks import random_genotypes
from unas.costs.gauges import COUNTS, Counter, Gauge
from unas.costs.reading import Reading
from unas.costs.table import CostTable, cheapest
from unas.latency import backends
from unas.latency.backends import Backend
from unas.latency.gauges import EnergyMeter, Stopwatch
from unas.objectives import RunningCost, RunningTerm, Term
from unas.objectives.latency import LatencyTerm
from unas.spaces import Blueprint

MARGIN = (
    0.03  # how far below its limit a candidate is measured that is taken without looking further
)
# How far above its limit an approximate table may predict a candidate that is still measured
SLACK = 0.05
SAMPLES = 100  # runs that a latency is taken from


@dataclass(frozen=True)
class Clause:
    """One budget, and what tells whether an architecture meets it.

    Args:
        budget: the budget.
        gauge: counts or measures the real network.
        term: of the search, whose table says what is cheap; None where nothing is searched.
    """

    budget: Budget
    gauge: Gauge
    term: RunningCost | None = None

    @property
    def table(self) -> CostTable:
        """The cost as a sum over choices."""
        assert self.term is not None  # noqa: S101  there is a search
        return self.term.known()


class Contract:
    """All budgets of a run.

    Args:
        clauses: one a budget, at least one.
        ranks: the processes of the run; rank 0 measures.
        say: gets a line where something is told.
    """

    def __init__(self, clauses: Sequence[Clause], ranks: Ranks, say: Callable[[str], None]) -> None:
        self.clauses, self.ranks, self.say = tuple(clauses), ranks, say
        self._readings: dict[tuple[int, Genotype], Reading] = {}

    def admits(self, genotype: Genotype) -> bool:
        """Return whether an architecture may meet all budgets, without measuring: counted, or predicted."""
        return all(
            self._admits(number, clause, genotype) for number, clause in enumerate(self.clauses)
        )

    def keeps(self, genotype: Genotype, margin: float = MARGIN) -> bool:
        """Return whether an architecture's real network meets all budgets, what is measured with a margin."""
        for number, clause in enumerate(self.clauses):
            least = clause.budget.limit * (1.0 if clause.gauge.is_exact else 1 - margin)
            if self._reading(number, genotype).high > least:
                return False
        return True

    def verdicts(self, genotype: Genotype) -> tuple[Verdict, ...]:
        """Return the verdict on an architecture's untrained network for each budget."""
        found = [self._reading(number, genotype) for number in range(len(self.clauses))]
        pairs = zip(self.clauses, found, strict=True)
        return tuple(judge(clause.budget, r.value, r.low, r.high, r.note) for clause, r in pairs)

    def cheapest(self) -> Genotype:
        """Return the architecture whose worst cost, relative to its limit, is the least of those that tables find."""
        tables = [clause.table for clause in self.clauses]
        limits = [clause.budget.limit for clause in self.clauses]
        found = [table.least() for table in tables]
        if len({table.blocks for table in tables}) == 1:
            found.append(cheapest(tables, limits))
        return min(
            found,
            key=lambda g: max(t.of(g) / limit for t, limit in zip(tables, limits, strict=True)),
        )

    def require_possible(self) -> None:
        """Refuse a budget that even the cheapest architecture breaks; on rank 0 alone.

        Raises:
            UserError: says what the least possible is.
        """
        for number, clause in enumerate(self.clauses):
            budget, least = clause.budget, self.least(number)
            if least.low > budget.limit:
                interval = (
                    "" if least.low == least.value else f" (95 %: from {budget.show(least.low)})"
                )
                raise UserError(
                    f"budget {budget}: the least possible is {budget.show(least.value)}{interval}, of the cheapest "
                    "architecture's network; raise the limit, or make the network smaller"
                )

    def require_met(self, genotype: Genotype) -> None:
        """Refuse an architecture whose untrained network breaks a budget by more than noise; on rank 0 alone.

        Raises:
            UserError: says what it costs.
        """
        for number, clause in enumerate(self.clauses):
            found, budget = self._reading_here(number, genotype), clause.budget
            if found.low > budget.limit:
                raise UserError(
                    f"budget {budget}: the network of this genotype costs {budget.show(found.value)}; "
                    "raise the limit, or take another genotype or a smaller network"
                )

    def least(self, number: int) -> Reading:
        """Return what the cheapest architecture costs; where no table is exact, the first of a few that is within."""
        clause = self.clauses[number]
        space, table = clause.gauge.blueprint.space, clause.table
        found = [self._reading_here(number, table.least())]
        if (
            clause.term is not None
            and not clause.term.is_exact
            and found[0].low > clause.budget.limit
        ):
            drawn = random_genotypes(space, 500, np.random.default_rng(0))
            found += [
                self._reading_here(number, genotype) for genotype in sorted(drawn, key=table.of)[:4]
            ]
        return min(found, key=lambda reading: reading.low)

    def _admits(self, number: int, clause: Clause, genotype: Genotype) -> bool:
        limit = clause.budget.limit
        if clause.term is not None and clause.term.is_exact:
            return clause.table.of(genotype) <= limit
        if clause.gauge.is_exact:
            return self._reading_here(number, genotype).value <= limit
        return clause.table.of(genotype) <= limit * (1 + SLACK)

    def _reading_here(self, number: int, genotype: Genotype) -> Reading:
        key = (number, genotype)
        if key not in self._readings:
            self._readings[key] = self.clauses[number].gauge(genotype)
        return self._readings[key]

    def _reading(self, number: int, genotype: Genotype) -> Reading:
        """Return what rank 0 has counted or measured."""
        return Reading(**self.ranks.on_main(lambda: asdict(self._reading_here(number, genotype))))


def clause_of(
    budget: Budget,
    objectives: Mapping[str, Term],
    terms: Mapping[str, RunningTerm],
    blueprint: Blueprint,
    device: str,
) -> Clause:
    """Return a budget with what tells whether it is met.

    Args:
        budget: the budget.
        objectives: of the search; a latency term says which backend exactly a name means.
        terms: the running ones among them; empty where nothing is searched.
        blueprint: how an architecture becomes a network.
        device: where PyTorch runs it.
    """
    running = next(
        (terms.get(name) for name, term in objectives.items() if is_about(term, budget)), None
    )
    gauge = _gauge(budget, blueprint, device, backend_of(budget, objectives))
    return Clause(budget, gauge, running if isinstance(running, RunningCost) else None)


def is_about(term: Term, budget: Budget) -> bool:
    """Return whether a term steers toward a budget."""
    if getattr(term, "quantity", None) != budget.quantity:
        return False
    return (
        not isinstance(term, LatencyTerm)
        or backends.registry.name_of(type(term.backend)) == budget.backend
    )


def backend_of(budget: Budget, objectives: Mapping[str, Term]) -> Backend | None:
    """Return what a latency budget is measured with, with the options of the search's term; None for the others."""
    if budget.backend is None:
        return None
    named = (
        term.backend
        for term in objectives.values()
        if isinstance(term, LatencyTerm) and is_about(term, budget)
    )
    return next(named, None) or backends.get(budget.backend)()


def as_summary(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return verdicts as summary.json has them, figures in the base unit of their quantity; nothing without any."""
    found = [
        {
            "budget": str(verdict.budget),
            "quantity": verdict.budget.quantity,
            "limit": verdict.budget.limit,
        }
        | {name: getattr(verdict, name) for name in ("value", "low", "high", "passed", "note")}
        | {"line": verdict.line()}
        for verdict in verdicts
    ]
    return {"budgets": found} if found else {}


def _gauge(budget: Budget, blueprint: Blueprint, device: str, backend: Backend | None) -> Gauge:
    if backend is not None:
        return Stopwatch(blueprint, backend, device, SAMPLES)
    return (
        Counter(blueprint, COUNTS[budget.quantity])
        if budget.quantity in COUNTS
        else EnergyMeter(blueprint, device, window_seconds=0.3)
    )
