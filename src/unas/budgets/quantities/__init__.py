"""What a budget can limit; one quantity a file. No torch is imported before one is asked for."""

from unas.budgets.quantities.base import CountedQuantity, MeasuredQuantity, Quantity
from unas.common.registry import Registry

registry: Registry[Quantity] = Registry("quantity", "unas.budgets.quantities", Quantity)  # type: ignore[type-abstract]
get = registry.get
names = registry.names

__all__ = [
    "CountedQuantity",
    "MeasuredQuantity",
    "Quantity",
    "examples",
    "get",
    "names",
    "registry",
]


def examples() -> tuple[str, ...]:
    """Return a budget on each built-in quantity, as it is typed."""
    return tuple(f"{name}<={get(name).example}" for name in names())
