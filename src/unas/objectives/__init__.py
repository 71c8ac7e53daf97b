"""Terms of the search objective; one a file."""

from unas.common.registry import Registry
from unas.objectives._counted import CountedTerm, CountOf, RunningCount
from unas.objectives._measured import RunningMeasuredCost
from unas.objectives._resource import CostTerm, LimitTerm, RunningCost
from unas.objectives.base import Evaluation, Objective, PolicyTerm, RunningTerm, Setting, Term

registry: Registry[Term] = Registry("objective", "unas.objectives", Term)  # type: ignore[type-abstract]
get = registry.get
names = registry.names

__all__ = [
    "CostTerm",
    "CountOf",
    "CountedTerm",
    "Evaluation",
    "LimitTerm",
    "Objective",
    "PolicyTerm",
    "RunningCost",
    "RunningCount",
    "RunningMeasuredCost",
    "RunningTerm",
    "Setting",
    "Term",
    "get",
    "names",
    "registry",
]
