"""Black-box searches compared on a table: what each has found after how many queries."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unas.common.errors import UserError
from unas.lab.blackbox import BlackBoxMethod, registry
from unas.lab.queries import BudgetSpentError, Queries
from unas.lab.table import ArchitectureTable

Curves = NDArray[np.float64]  # [S, Q], of each seed after each query

COUNTING = "an architecture that is asked for again counts once, for every method alike"


@dataclass(frozen=True)
class Found:
    """The best architecture so far of one method, after each query and for each seed.

    Args:
        method: with its options.
        positions: [S, Q] of that architecture in the table.
        value: [S, Q], its metric.
        rank: [S, Q], its rank by the reported metric in percent of all architectures; the best has
            100/N.
        report: [S, Q], its reported metric.
        queries_made: [S]; a method whose last 1000 questions brought nothing new ends early and
            keeps its best.
        seconds: of one seed, the mean.
    """

    method: BlackBoxMethod
    positions: NDArray[np.int64]
    value: Curves
    rank: Curves
    report: Curves
    queries_made: list[int]
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """Methods compared at equal queries.

    Args:
        table: the architectures.
        metric: searched for.
        report: reported for the best by `metric`.
        minimize: whether less of both is better.
        found: by method.
    """

    table: ArchitectureTable
    metric: str
    report: str
    minimize: bool
    found: Mapping[str, Found]

    def to_json(self) -> dict[str, Any]:
        """Return everything that the tables and plots of this comparison are made from."""
        return {
            "architectures": len(self.table),
            "choices": {name: list(options) for name, options in self.table.choices.items()},
            "metric": self.metric,
            "report": self.report,
            "minimize": self.minimize,
            "best_possible": self.best_possible,
            "counting": COUNTING,
            "methods": {name: self._one(found) for name, found in self.found.items()},
        }

    @property
    def best_possible(self) -> float:
        """The best of the reported metric in the table."""
        values = self.table.metric(self.report)
        return float(values.min() if self.minimize else values.max())

    def _one(self, found: Found) -> dict[str, Any]:
        curves = {"best": found.value, "report": found.report, "rank_percent": found.rank}
        best = self.table.rows[found.positions[:, -1]].tolist()
        choices = self.table.choices.items()
        return {
            "options": dataclasses.asdict(found.method),
            "seconds_per_seed": found.seconds,
            "queries_made": found.queries_made,
            "final_architectures": [
                {n: o[k] for (n, o), k in zip(choices, row, strict=True)} for row in best
            ],
            **{f"final_{name}": curve[:, -1].tolist() for name, curve in curves.items()},
            **{
                name: dict(zip(("mean", "standard_error"), summary(curve), strict=True))
                for name, curve in curves.items()
            },
        }


def summary(curves: Curves) -> tuple[list[float], list[float]]:
    """Return the mean over seeds after each query, and its standard error (0 with one seed)."""
    errors = (
        curves.std(0, ddof=1) / len(curves) ** 0.5 if len(curves) > 1 else np.zeros(curves.shape[1])
    )
    return curves.mean(0).tolist(), errors.tolist()


def ranks(costs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each one's rank in percent of all: 100·(1 + how many are better)/N."""
    better: NDArray[np.int64] = np.searchsorted(np.sort(costs), costs)
    return 100.0 * (better + 1) / len(costs)


def compare(
    table: ArchitectureTable,
    metric: str,
    methods: Sequence[str] | Mapping[str, BlackBoxMethod],
    *,
    queries: int,
    seeds: Sequence[int],
    minimize: bool = False,
    report: str | None = None,
) -> Comparison:
    """Run every method with every seed on a table.

    Args:
        table: the architectures.
        metric: what is searched for.
        methods: names, or methods by the names that results call them.
        queries: how many different architectures each may ask for.
        seeds: of the methods.
        minimize: whether less of the metric is better, and of `report`.
        report: the metric reported for the best by `metric`; the metric itself by default.

    Raises:
        UserError: there is no such metric or method, or nothing to do.
    """
    if not 1 <= queries <= len(table):
        raise UserError(
            f"queries is {queries}; the table has {len(table)} architectures, so it must be 1 to "
            f"{len(table)}"
        )
    if not seeds or not methods:
        raise UserError("nothing to compare; give at least one seed and one method")
    costs = table.costs(metric, minimize=minimize)
    rank = ranks(table.costs(report or metric, minimize=minimize))
    made = (
        methods
        if isinstance(methods, Mapping)
        else {name: registry.get(name)() for name in methods}
    )
    found = {}
    for name, method in made.items():
        start = time.perf_counter()
        runs = [_run(method, Queries(table, costs.item, queries), seed) for seed in seeds]
        seconds = (time.perf_counter() - start) / len(seeds)
        best = np.array([_best_so_far(run, queries) for run in runs])
        values, reported = table.metric(metric), table.metric(report or metric)
        made_queries = [len(run.answers) for run in runs]
        found[name] = Found(
            method, best, values[best], rank[best], reported[best], made_queries, seconds
        )
    return Comparison(table, metric, report or metric, minimize, found)


def _run(method: BlackBoxMethod, queries: Queries, seed: int) -> Queries:
    try:
        method.search(queries, seed)
    except BudgetSpentError:
        return queries
    raise RuntimeError(
        f"{type(method).__name__} ended by itself after {len(queries.answers)} queries"
    )


def _best_so_far(queries: Queries, length: int) -> list[int]:
    best: list[int] = []
    for position, cost in queries.answers.items():
        is_better = not best or cost < queries.answers[best[-1]]
        best.append(position if is_better else best[-1])
    return best + best[-1:] * (length - len(best))
