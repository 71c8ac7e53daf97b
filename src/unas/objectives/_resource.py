"""Costs of the deployed network as terms of the search: what all of them share."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from torch import Generator, Tensor

from unas.architecture.policy import Layout, Policy, Sample
from unas.common.errors import UserError
from unas.costs.gauges import Gauge
from unas.costs.table import CostTable
from unas.estimators import RunningEstimator
from unas.latency.backends import Backend
from unas.objectives.base import PolicyTerm, RunningTerm, Setting

PREDICTED = 32  # architectures a step where they are predicted, which costs next to nothing
_TINY = 1e-6  # of the limit: a standard deviation of 0 has no gradient


@dataclass(frozen=True)
class CostTerm(PolicyTerm):
    """weight·max(0, c − most)/scale of a cost c of the network that will be deployed.

    Attributes:
        quantity: the name of what c is.
        log_unit: the unit of c in the log; "" for a count.
    """

    quantity: ClassVar[str]
    log_unit: ClassVar[str] = ""

    @property
    @abstractmethod
    def most(self) -> float:
        """What the network should cost at most, in the quantity's base unit."""

    @property
    @abstractmethod
    def scale(self) -> float:
        """What the excess is divided by."""

    @abstractmethod
    def start(self, setting: Setting) -> RunningCost:
        """Return the term of one search."""

    def aimed_at(self, most: float) -> CostTerm:  # noqa: ARG002  where a term can be aimed
        """Return the term with another aim; a term that can't be aimed elsewhere stays as it is.

        Args:
            most: what the network should cost at most, in the quantity's base unit.
        """
        return self

    def measured_with(self) -> Backend | None:
        """Return what measures c; None where it has no backend."""
        return None

    def batch_size(self) -> int:
        """Return for how many images at once c is the cost."""
        return 1

    def is_about(self, quantity: str, backend: Backend | None, batch: int = 1) -> bool:
        """Return whether c is a quantity, measured with a backend if that has one, of a batch."""
        is_same_quantity = self.quantity == quantity and self.batch_size() == batch
        return is_same_quantity and self.measured_with() == backend


@dataclass(frozen=True)
class LimitTerm(CostTerm):
    """weight·max(0, c/limit − 1).

    Where c is a sum over choices (multiply-adds, parameters), its mean and standard deviation under
    the policy are exact, and the term is weight·max(0, (E[c] + σ[c])/limit − 1), without noise: it
    pulls until about five of six draws are within the limit, and σ vanishes as the policy decides.
    Elsewhere it is the expectation of the hinge, estimated on drawn architectures.

    Args:
        limit: the most that the network should cost, in the quantity's base unit.
    """

    weight: float = 10.0
    limit: float = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.limit < math.inf:
            raise UserError(f"limit is {self.limit}; it must be above 0, and finite")

    @property
    def most(self) -> float:
        """See `CostTerm`."""
        return self.limit

    @property
    def scale(self) -> float:
        """See `CostTerm`."""
        return self.limit

    def aimed_at(self, most: float) -> LimitTerm:
        """See `CostTerm`."""
        return replace(self, limit=most)


class RunningCost(RunningTerm):
    """A cost term during a search.

    Args:
        term: its options.
        setting: where it is used.
        gauge: reads the cost of one architecture.

    Attributes:
        table: the cost as a sum over choices, exact or approximate; None until it is prepared.
        is_exact: the table is exact.
    """

    estimator: RunningEstimator

    def __init__(self, term: CostTerm, setting: Setting, gauge: Gauge) -> None:
        self.term = term
        self.setting = setting
        self.gauge = gauge
        self.layout = Layout(setting.blueprint.space.choices, setting.blueprint.space.registry_name)
        self.estimator = setting.estimator.start(self.layout)
        self.table: CostTable | None = None
        self.is_exact = False

    @abstractmethod
    def make_table(self) -> tuple[CostTable, bool]:
        """Return the cost as a sum over choices, and whether that is exact.

        Called on rank 0 alone.
        """

    def prepare(self) -> None:
        """See `RunningTerm`."""
        if self.table is None:
            self.table, self.is_exact = self.make_table()

    def known(self) -> CostTable:
        """Return the table; if it isn't prepared, it is made now, on rank 0 for all."""
        if self.table is None:

            def on_main() -> dict[str, Any]:
                self.prepare()
                return self._table_state()

            self._load_table(self.setting.ranks.on_main(on_main))
        assert self.table is not None  # noqa: S101  it was made
        return self.table

    def loss(self, policy: Policy, step: int, generator: Generator) -> Tensor:
        """See `RunningTerm`."""
        table = self.known()
        weight = self.term.weight_at(step)
        if self.is_exact:
            mean, variance = table.moments(policy)
            deviation = (variance + (_TINY * self.term.most) ** 2).sqrt()
            return weight * self.excess(mean + deviation)
        return weight * self.estimator(
            policy, self.cost, num_samples=self.num_samples(), generator=generator
        )

    def cost(self, sample: Sample) -> Tensor:
        """Return the term of each of G architectures, [G], before its weight.

        The costs of hard architectures are read; of relaxed ones, the table's.
        """
        costs = self.read(sample) if sample.is_hard else self.known()(sample)
        return self.excess(costs)

    def read(self, sample: Sample) -> Tensor:
        """Return the costs of hard architectures, [G]; the table's unless a subclass has better."""
        return self.known()(sample)

    def num_samples(self) -> int:
        """Return how many architectures an estimate is made from."""
        return PREDICTED

    def use_few_draws(self) -> None:
        """Let the estimator draw as few architectures a step as it can: each of them costs time."""
        self.estimator = self.setting.estimator.with_fewest_draws().start(self.layout)

    def fewest(self) -> int:
        """Return the least number of architectures that the estimator takes."""
        return self.estimator.estimator.fewest_samples

    def excess(self, costs: Tensor) -> Tensor:
        """Return by how much costs are too much, in the term's scale."""
        return (costs - self.term.most).clamp_min(0) / self.term.scale

    def figures(self, policy: Policy) -> dict[str, float]:
        """Return the expected cost under the policy: exact for the table."""
        unit = f"_{self.term.log_unit}" if self.term.log_unit else ""
        mean, _ = self.known().moments(policy)
        return {f"expected_{self.term.quantity}{unit}": float(mean.detach())}

    def state_dict(self) -> dict[str, Any]:
        """See `RunningTerm`."""
        return {**self._table_state(), "estimator": self.estimator.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `RunningTerm`."""
        self._load_table(state)
        self.estimator.load_state_dict(state["estimator"])

    def _table_state(self) -> dict[str, Any]:
        table = None if self.table is None else self.table.state_dict()
        return {"table": table, "is_exact": self.is_exact}

    def _load_table(self, state: dict[str, Any]) -> None:
        saved = state["table"]
        self.table = None if saved is None else CostTable.from_state(self.layout, saved)
        self.is_exact = state["is_exact"]
