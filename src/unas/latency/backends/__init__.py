"""Ways to run a network and to clock it; one a file."""

from unas.common.errors import UserError
from unas.common.registry import Registry
from unas.latency.backends.base import Backend, Clock

registry: Registry[Backend] = Registry("latency backend", "unas.latency.backends", Backend)  # type: ignore[type-abstract]
get = registry.get
names = registry.names

__all__ = ["Backend", "Clock", "create", "get", "names", "registry"]


def create(name: str, command: str | None = None, timeout_seconds: float = 60.0) -> Backend:
    """Return the backend called `name`.

    Args:
        name: one of `names()`, or `package.module:Class`.
        command: the command line of the backend `command`; the others take none.
        timeout_seconds: how long one call of the command may take.

    Raises:
        UserError: there is no such backend, or its command is missing.
    """
    cls = get(name)
    if registry.name_of(cls) != "command":
        return cls()
    if command is None:
        raise UserError(
            'backend command: --command is missing; give one, for example --command "adb-run.sh {model}"'
        )
    return cls(command, timeout_seconds)  # type: ignore[call-arg]
