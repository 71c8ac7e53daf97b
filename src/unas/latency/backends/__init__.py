"""Ways to run a network and to clock it; one a file."""

from unas.latency.backends.base import Backend
from unas.registry import Registry

registry: Registry[Backend] = Registry("latency backend", "unas.latency.backends", Backend)  # type: ignore[type-abstract]
get = registry.get
names = registry.names

__all__ = ["Backend", "get", "names", "registry"]
