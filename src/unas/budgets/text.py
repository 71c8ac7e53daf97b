"""A budget as it is typed, taken apart; nothing that it names is imported."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from unas.budgets import quantities
from unas.budgets.quantities import Quantity
from unas.common.errors import UserError
from unas.common.registry import one_of

_FORM = re.compile(
    r"\s*([\w.:]+)\s*<=\s*([0-9.eE+-]*[0-9.])\s*([^\W\d_]*)\s*"  # quantity<=number unit
    r"(?:@\s*([^\s,]*))?\s*(?:,\s*batch\s*=\s*([0-9]{1,9}))?\s*"  # @backend,batch=number
)


@dataclass(frozen=True)
class BudgetText:
    """The parts of a budget such as "latency<=8ms@onnxruntime" or "latency<=10ms@eager,batch=24".

    Args:
        text: all of it.
        quantity: a built-in name, or `package.module:Class`.
        number: the limit, in `unit`.
        unit: "" for a plain count.
        backend: what follows the @; None without one.
        batch: how many images it is about, 1 where the budget doesn't say.
    """

    text: str
    quantity: str
    number: str
    unit: str
    backend: str | None
    batch: int = 1

    @classmethod
    def of(cls, text: str) -> BudgetText:
        """Take a budget apart.

        Raises:
            UserError: it isn't of the form, or there is no such quantity.
        """
        match = _FORM.fullmatch(text)
        name = match[1] if match else re.split(r"[\s<=>]", text.strip(), maxsplit=1)[0]
        known = quantities.names()
        if name not in known and ":" not in name:
            raise UserError(
                f"budget {text!r}: quantity {name!r} does not exist; {one_of(name, known)}"
            )
        if match is None:
            example = quantities.get(name).example if name in known else "100"
            raise UserError(f"budget {text!r} can't be read; write it like {name}<={example}")
        quantity, number, unit, backend, batch = match.groups()
        return cls(text, quantity, number, unit, backend, int(batch or 1))

    def outside_names(self) -> list[str]:
        """Return the classes from outside that the budget names."""
        names = (self.quantity, self.backend or "")
        return [name for name in names if ":" in name]

    def limit(self, quantity: type[Quantity]) -> float:
        """Return the limit in the base unit of the quantity.

        Raises:
            UserError: the quantity has no such unit, or the limit is no number above 0.
        """
        units = quantity.units
        if self.unit not in units:
            problem = f"unit {self.unit!r} does not exist" if self.unit else "the unit is missing"
            known = tuple(unit for unit in units if unit)
            raise UserError(f"budget {self.text!r}: {problem}; {one_of(self.unit, known)}")
        return self._positive() * units[self.unit]

    def _positive(self) -> float:
        try:
            number = float(self.number)
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            raise UserError(
                f"budget {self.text!r}: the limit is {self.number!r}; it must be a number above 0"
            )
        return number
