"""Terms of the search objective; one a file."""

from unas.objectives.base import Evaluation, Objective
from unas.registry import Registry

registry: Registry[Objective] = Registry("objective", "unas.objectives", Objective)  # type: ignore[type-abstract]
get = registry.get
names = registry.names

__all__ = ["Evaluation", "Objective", "get", "names", "registry"]
