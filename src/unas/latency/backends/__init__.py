"""Ways to run a network and to clock it; one a file."""

from dataclasses import fields
from typing import Any

from unas.common.errors import UserError
from unas.common.registry import Registry, one_of
from unas.latency.backends.base import Backend, Clock

registry: Registry[Backend] = Registry("latency backend", "unas.latency.backends", Backend)  # type: ignore[type-abstract]
get = registry.get
names = registry.names

__all__ = ["Backend", "Clock", "create", "get", "names", "options_of", "registry"]


def options_of(backend: type[Backend]) -> tuple[str, ...]:
    """Return the names of a backend's options."""
    return tuple(field.name for field in fields(backend) if field.init)


def create(name: str, **options: Any) -> Backend:
    """Return a backend with some of its options, the others as they are by default.

    Args:
        name: one of `names()`, or `package.module:Class`.
        options: such as `command` and `timeout_seconds` of the backend `command`.

    Raises:
        UserError: there is no such backend, or it has no such option, or refuses it.
    """
    cls = get(name)
    known = options_of(cls)
    for option in options:
        if option not in known:
            raise UserError(f"backend {name} has no option {option}; {one_of(option, known)}")
    return cls(**options)
