"""Terms of the search objective; one a file."""

from unas.common.registry import Registry
from unas.objectives.base import Evaluation, Objective, PolicyTerm, RunningTerm, Setting, Term

registry: Registry[Term] = Registry("objective", "unas.objectives", Term)  # type: ignore[type-abstract]
get = registry.get
names = registry.names

__all__ = [
    "Evaluation",
    "Objective",
    "PolicyTerm",
    "RunningTerm",
    "Setting",
    "Term",
    "get",
    "names",
    "registry",
]
