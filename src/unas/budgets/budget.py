"""A budget: the most that a network may cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from unas.budgets import quantities
from unas.budgets.effort import Effort
from unas.budgets.onnx_file import OnnxFile
from unas.budgets.quantities import Quantity
from unas.budgets.text import BudgetText
from unas.common.errors import UserError, one_line_errors
from unas.common.registry import one_of
from unas.costs.gauges import Gauge
from unas.costs.reading import Reading
from unas.latency import backends
from unas.latency.backends import Backend
from unas.objectives import CostTerm
from unas.spaces import Blueprint

NOTHING_ELSE: Mapping[str, Backend] = MappingProxyType({})


@dataclass(frozen=True)
class Budget:
    """The most that a network may cost.

    Args:
        quantity: what is limited.
        limit: the most of it, in its base unit.
        unit: the unit that figures are shown in.
        backend: what measures it; None where the quantity has none.
        batch: for how many images at once; 1 for all quantities but a latency.

    Raises:
        UserError: the quantity needs a backend, or has none; or the batch means nothing to it.
    """

    quantity: Quantity
    limit: float
    unit: str
    backend: Backend | None = None
    batch: int = 1

    def __post_init__(self) -> None:
        if (self.backend is None) != (self.quantity.default_backend is None):
            needs = "needs a backend" if self.backend is None else "has no backend"
            raise UserError(f"budget on {self.quantity.name}: the quantity {needs}")
        self._check_batch()

    def _check_batch(self) -> None:
        where = f"budget on {self.quantity.name}: batch is {self.batch}"
        if not (isinstance(self.batch, int) and self.batch >= 1):
            raise UserError(f"{where}; it must be a whole number, 1 or more")
        if self.batch > 1 and not self.quantity.has_batches:
            raise UserError(f"{where}, but the quantity is that of one image; leave batch out")
        if self.batch > 1 and self.backend is not None and not self.backend.chooses_batch:
            raise UserError(
                f"{where}, but backend {self.backend.word} makes its own batch; leave batch out"
            )

    @classmethod
    def parse(cls, text: str, known: Mapping[str, Backend] = NOTHING_ELSE) -> Budget:
        """Read a budget such as "latency<=8ms@onnxruntime", "macs<=600M" or "memory<=200MB".

        Of a batch of images it is "latency<=10ms@eager,batch=24".

        Classes from outside that it names, `package.module:Class`, are imported: a text that comes
        from a file has to be trusted first.

        Args:
            text: the budget.
            known: what the name of a backend means, where it doesn't mean the one of that name with
                all its options as they are by default.

        Raises:
            UserError: it isn't of that form; the quantity, the unit or the backend doesn't exist.
        """
        typed = BudgetText.of(text)
        quantity = _quantity(typed)
        limit = typed.limit(type(quantity))
        backend = _backend(quantity, typed, known)
        return cls(quantity, limit, typed.unit, backend, typed.batch)

    def __str__(self) -> str:
        at = f"@{backends.registry.name_of(type(self.backend))}" if self.backend else ""
        batch = f",batch={self.batch}" if self.batch > 1 else ""
        name = quantities.registry.name_of(type(self.quantity))
        return f"{name}<={self._exact_limit()}{self.unit}{at}{batch}"

    def show(self, value: float) -> str:
        """Return a figure in the budget's unit, such as "7.31ms".

        A count that is over the limit is shown with all digits if with fewer it would read like it.
        """
        if self.quantity.digits is not None:
            return f"{self._written(value, self.quantity.digits)}{self.unit}"
        written = self._written(value, 6)
        if value > self.limit and written == self._written(self.limit, 6):
            written = self._written(value, 15)
        return f"{written}{self.unit}"

    def gauge(self, blueprint: Blueprint, device: str, effort: Effort) -> Gauge:
        """Return what reads the quantity of an architecture's network; see `Quantity`."""
        return self.quantity.gauge(self, blueprint, device, effort)

    def of_file(self, file: OnnxFile, device: str, effort: Effort) -> Reading:
        """Return the figure of an ONNX file; see `Quantity`."""
        return self.quantity.of_file(self, file, device, effort)

    def term(self) -> CostTerm:
        """Return the term that steers a search toward the budget."""
        return self.quantity.term(self)

    def is_about_the_same_as(self, other: Budget) -> bool:
        """Return whether another budget limits the same figure."""
        return (self.quantity, self.backend, self.batch) == (
            other.quantity,
            other.backend,
            other.batch,
        )

    @property
    def aim(self) -> float:
        """What a search is steered to, in the quantity's base unit."""
        return self.quantity.aim * self.limit

    def _exact_limit(self) -> str:
        """Return the limit in the budget's unit, in as few digits as it can be read back from."""
        for digits in (6, 15):
            written = self._written(self.limit, digits)
            if float(written) * self._unit_size == self.limit:
                return written
        return self._written(self.limit, 17)

    def _written(self, value: float, digits: int) -> str:
        return f"{value / self._unit_size:.{digits}g}"

    @property
    def _unit_size(self) -> float:
        return self.quantity.units[self.unit]


def read_budgets(
    items: Iterable[Budget | str], known: Mapping[str, Backend] = NOTHING_ELSE
) -> tuple[Budget, ...]:
    """Return budgets, those that are text being read; see `Budget.parse`.

    Raises:
        UserError: one can't be read, or two are about the same thing.
    """
    budgets: list[Budget] = []
    for item in items:
        budget = item if isinstance(item, Budget) else Budget.parse(item, known)
        for other in budgets:
            if other.is_about_the_same_as(budget):
                name = budget.quantity.name
                raise UserError(f"budget {str(budget)!r}: there are two for {name}; leave one out")
        budgets.append(budget)
    return tuple(budgets)


def _quantity(typed: BudgetText) -> Quantity:
    with one_line_errors(f"budget {typed.text!r}"):
        quantity = quantities.get(typed.quantity)()
        name = quantity.name
    is_built_in = ":" not in typed.quantity
    if not is_built_in and (name in quantities.names() or not name.isidentifier()):
        raise UserError(
            f"budget {typed.text!r}: {typed.quantity} is called {name!r}; give it a name of its "
            "own, of letters, digits and _"
        )
    return quantity


def _backend(quantity: Quantity, typed: BudgetText, known: Mapping[str, Backend]) -> Backend | None:
    name = quantity.default_backend if typed.backend is None else typed.backend
    if quantity.default_backend is None:
        if name is not None:
            raise UserError(
                f"budget {typed.text!r}: {quantity.name} has no backend; leave @{name} out"
            )
        return None
    assert name is not None  # noqa: S101  there is a default
    if name in known:
        return known[name]
    if ":" not in name and name not in backends.names():
        raise UserError(
            f"budget {typed.text!r}: backend {name!r} does not exist; "
            f"{one_of(name, backends.names())}"
        )
    with one_line_errors(f"budget {typed.text!r}"):
        return backends.create(name)
