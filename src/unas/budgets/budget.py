"""Budgets: what a network may cost at most, as typed, and the verdict on a measured figure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from unas.common.errors import UserError
from unas.common.registry import one_of
from unas.latency import backends
from unas.latency.backends import Backend

# The units of each quantity, and how much one of them is in the base unit, which comes first.
UNITS: dict[str, dict[str, float]] = {
    "latency": {"ms": 1.0, "us": 1e-3, "µs": 1e-3, "s": 1e3},
    "macs": {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9},
    "params": {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9},
    "memory": {
        "B": 1.0,
        "kB": 1e3,
        "MB": 1e6,
        "GB": 1e9,
        "KiB": 2.0**10,
        "MiB": 2.0**20,
        "GiB": 2.0**30,
    },
    "energy": {"mJ": 1.0, "uJ": 1e-3, "µJ": 1e-3, "J": 1e3},
}
DEFAULT_BACKEND = "onnxruntime"  # a run ends in an ONNX file
_FORM = re.compile(r"\s*(\w+)\s*<=\s*([0-9.eE+-]*[0-9.])\s*([^\W\d_]*)\s*(?:@\s*(\S*))?\s*")


@dataclass(frozen=True)
class Budget:
    """The most that a network may cost.

    Args:
        quantity: a key of `UNITS`.
        limit: in the base unit: ms, multiply-adds, parameters, bytes or mJ.
        unit: the one that was typed, in which figures are shown.
        backend: what a latency is measured with; None for the other quantities.
    """

    quantity: str
    limit: float
    unit: str
    backend: str | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read a budget such as "latency<=8ms@onnxruntime", "macs<=600M" or "memory<=200MB".

        Raises:
            UserError: it isn't of that form; the quantity, the unit or the backend doesn't exist.
        """
        match = _FORM.fullmatch(text)
        name = re.split(r"[\s<=>]", text.strip(), maxsplit=1)[0]
        if match is None and name in UNITS:
            raise UserError(f"budget {text!r} can't be read; write it like {_example(name)}")
        quantity, number, unit, backend = match.groups() if match else (name, "0", "", None)
        if quantity not in UNITS:
            raise UserError(
                f"budget {text!r}: quantity {quantity!r} does not exist; {one_of(quantity, tuple(UNITS))}"
            )
        units = UNITS[quantity]
        if unit not in units:
            what = f"unit {unit!r} does not exist" if unit else "the unit is missing"
            raise UserError(f"budget {text!r}: {what}; {one_of(unit, tuple(filter(None, units)))}")
        return cls(
            quantity, _positive(number, text) * units[unit], unit, _backend(quantity, backend, text)
        )

    def __str__(self) -> str:
        at = f"@{self.backend}" if self.backend else ""
        limit = self._written(self.limit, 6)
        if float(limit) * UNITS[self.quantity][self.unit] != self.limit:
            limit = self._written(self.limit, 15)
        return f"{self.quantity}<={limit}{self.unit}{at}"

    def show(self, value: float) -> str:
        """Return a figure in the budget's unit: "7.31ms"; a count that is over the limit doesn't read like it."""
        if self.quantity in {"latency", "energy"}:
            return f"{self._written(value, 4)}{self.unit}"  # measured ones have no more digits
        is_like_limit = value > self.limit and self._written(value, 6) == self._written(
            self.limit, 6
        )
        return f"{self._written(value, 15 if is_like_limit else 6)}{self.unit}"

    def _written(self, value: float, digits: int) -> str:
        return f"{value / UNITS[self.quantity][self.unit]:.{digits}g}"


@dataclass(frozen=True)
class Verdict:
    """Whether a network meets a budget.

    Args:
        budget: the budget.
        value: the network's figure, in the budget's base unit.
        low: the lower end of its 95 % confidence interval; the value itself where it is exact.
        high: the upper end.
        passed: the whole interval is within the budget.
        note: what else to know, for example that the measurement was noisy.
    """

    budget: Budget
    value: float
    low: float
    high: float
    passed: bool
    note: str = ""

    def line(self) -> str:
        """Return the verdict for people, on one line: "PASS latency<=8ms@onnxruntime: 7.31ms (95 %: 7.29ms to …)"."""
        show = self.budget.show
        interval = f" (95 %: {show(self.low)} to {show(self.high)})" if self.low < self.high else ""
        undecided = self.low <= self.budget.limit < self.high
        notes = [
            *(["the interval holds the limit: take more samples"] if undecided else []),
            self.note,
        ]
        rest = "".join(f"; {note}" for note in notes if note)
        return (
            f"{'PASS' if self.passed else 'FAIL'} {self.budget}: {show(self.value)}{interval}{rest}"
        )


def judge(
    budget: Budget,
    value: float,
    low: float | None = None,
    high: float | None = None,
    note: str = "",
) -> Verdict:
    """Return the verdict on a figure: it passes if its whole 95 % interval is within the budget.

    Args:
        budget: the budget.
        value: the figure, in the budget's base unit.
        low: the lower end of its interval; the value by default.
        high: the upper end; the value by default.
        note: what else to know.
    """
    upper = value if high is None else high
    return Verdict(budget, value, value if low is None else low, upper, upper <= budget.limit, note)


def parse_budgets(texts: list[str] | tuple[str, ...]) -> tuple[Budget, ...]:
    """Read several budgets.

    Raises:
        UserError: one can't be read, or two are about the same quantity and backend.
    """
    found = tuple(Budget.parse(text) for text in texts)
    seen: set[tuple[str, str | None]] = set()
    for budget in found:
        if (budget.quantity, budget.backend) in seen:
            raise UserError(
                f"budget {str(budget)!r}: there are two for {budget.quantity}; leave one out"
            )
        seen.add((budget.quantity, budget.backend))
    return found


def created(name: str, command: str | None, timeout_seconds: float = 60.0) -> Backend:
    """Return the backend called `name`, with the command line that it calls if it calls one."""
    if "command" not in backends.options_of(backends.get(name)):
        return backends.create(name)
    return backends.create(name, command=command or "", timeout_seconds=timeout_seconds)


def _positive(number: str, text: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise UserError(f"budget {text!r}: the limit is {number!r}; it must be a number above 0")
    return value


def _backend(quantity: str, name: str | None, text: str) -> str | None:
    if quantity != "latency":
        if name is not None:
            raise UserError(f"budget {text!r}: {quantity} has no backend; leave @{name} out")
        return None
    name = DEFAULT_BACKEND if name is None else name
    if name not in backends.names():
        raise UserError(
            f"budget {text!r}: backend {name!r} does not exist; {one_of(name, backends.names())}"
        )
    return name


def _example(quantity: str) -> str:
    examples = {
        "latency": "8ms@onnxruntime",
        "macs": "600M",
        "params": "4M",
        "memory": "200MB",
        "energy": "50mJ",
    }
    return f"{quantity}<={examples[quantity]}"
