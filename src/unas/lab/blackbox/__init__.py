"""Searches that see nothing but the costs they ask for; one a file."""

from unas.common.registry import Registry
from unas.lab.blackbox.base import BlackBoxMethod

registry: Registry[BlackBoxMethod] = Registry("method", "unas.lab.blackbox", BlackBoxMethod)  # type: ignore[type-abstract]
get = registry.get
names = registry.names

__all__ = ["BlackBoxMethod", "get", "names", "registry"]
