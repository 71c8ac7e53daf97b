"""What networks cost, as the files of a run say it: budgets that were asked for, and quantities."""

from __future__ import annotations

from collections.abc import Iterable

from unas.budgets import quantities
from unas.budgets.text import BudgetText
from unas.common.errors import UserError
from unas.common.text import readable_count
from unas.report.fields import Fields

_EXPECTED = "expected_"


def quantity(name: str, value: float, unit: str = "") -> str:
    """Return a figure of a quantity, in its base unit, as people read it.

    Args:
        name: the quantity.
        value: the figure.
        unit: the base unit of a quantity from outside unas, whose code a report doesn't run.
    """
    if name in quantities.names():
        return quantities.get(name).readable(value)
    return f"{readable_count(value)} {unit}".rstrip()


def label(name: str) -> str:
    """Return what people call a quantity."""
    if name in quantities.names():
        return quantities.get(name).label
    return name.replace("_", " ")


def unit(name: str) -> str:
    """Return what figures of a quantity are counted in."""
    if name not in quantities.names():
        return ""
    return quantities.get(name).base_unit() or label(name)


def asked(config: Fields) -> list[str]:
    """Return the budgets of a run as text.

    Raises:
        UserError: they are something else.
    """
    items = config.values.get("budgets")
    if isinstance(items, list):
        # An object holds a text beside the way in which it is measured.
        texts = [item.get("budget") if isinstance(item, dict) else item for item in items]
        config = Fields({"budgets": texts}, config.source)
    return config.texts("budgets")


def asked_limits(config: Fields, name: str) -> list[float]:
    """Return the limits that a run was asked to keep on a built-in quantity, in its base unit."""
    limits = []
    for text in asked(config):
        try:
            typed = BudgetText.of(text)
            if typed.quantity == name and name in quantities.names():
                limits.append(typed.limit(quantities.get(name)))
        except UserError:
            continue  # an edited file; a drawing can do without the line
    return limits


def expected_costs(figures: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Return which logged figures are expected costs, and of which quantity each is.

    A figure is called "expected_" and the quantity, and after "_" its unit where it has one.

    Args:
        figures: their names.
        others: quantities from outside unas that the run has a verdict on.
    """
    known = sorted({*quantities.names(), *others}, key=len)
    costs = {}
    for figure in figures:
        name = figure.removeprefix(_EXPECTED)
        if name == figure:
            continue
        costs[figure] = name
        for quantity_name in known:
            if f"{name}_".startswith(f"{quantity_name}_"):
                costs[figure] = quantity_name
    return costs
