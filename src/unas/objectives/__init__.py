"""Terms of the search objective; one a file."""

from unas.objectives.base import Evaluation, Objective, PolicyTerm, RunningTerm, Setting, Term
from unas.registry import Registry

registry: Registry[Term] = Registry("objective", "unas.objectives", Term)  # type: ignore[type-abstract]
get = registry.get
names = registry.names

__all__ = ["Evaluation", "Objective", "PolicyTerm", "RunningTerm", "Setting", "Term", "get", "names", "registry"]
