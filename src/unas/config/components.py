"""The kinds of components a configuration is made of, and how a name becomes one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, get_origin

from unas import data, estimators, objectives, spaces
from unas.common.errors import UserError
from unas.common.registry import Registry, import_object
from unas.data import Dataset
from unas.estimators import Estimator
from unas.latency import backends
from unas.latency.backends import Backend
from unas.objectives import Term
from unas.spaces import SearchSpace

NAMES: dict[type, Registry[Any]] = {
    Dataset: data.registry,
    SearchSpace: spaces.registry,
    Estimator: estimators.registry,
    Term: objectives.registry,
    Backend: backends.registry,
}


def base_of(component: type) -> type | None:
    """Return which of the bases in `NAMES` a class derives from, or None."""
    return next((base for base in NAMES if issubclass(component, base)), None)


def component_names(value: Any) -> set[str]:
    """Return the names of all components and callables in a configuration, at any depth."""
    if isinstance(value, dict):
        return {name for item in value.values() for name in component_names(item)}
    if is_dataclass(value) and not isinstance(value, type):
        base = base_of(type(value))
        own = {NAMES[base].name_of(type(value))} if base else set()
        return own | {
            name for field in fields(value) for name in component_names(getattr(value, field.name))
        }
    return (
        {callable_name(value, "")} if inspect.isclass(value) or inspect.isfunction(value) else set()
    )


def is_outside(name: str) -> bool:
    """Return whether a component runs code from outside: a class of elsewhere, or the backend that runs a command."""
    return ":" in name or name == "command"


def component_class(base: type, name: str, trusted: Collection[str]) -> type[Any]:
    """Return the component class called `name`.

    Args:
        base: what it must derive from, a key of `NAMES`.
        name: a built-in name, or `package.module:Class`.
        trusted: the names, of those that `is_outside`, that may be used, which runs their code.

    Raises:
        UserError: there is no such component, it can't be imported, or it isn't trusted.
    """
    if is_outside(name):
        _require_trust(name, trusted)
    with one_line_errors(f"{name!r} can't be imported"):
        found = NAMES[base].get(name)
    if not is_outside(name) and is_outside(known := NAMES[base].name_of(found)):
        _require_trust(known, trusted)  # the registry takes `Command` for `command`
    if not issubclass(found, base):
        raise UserError(f"{name!r} is not a subclass of {base.__module__}:{base.__name__}")
    return found


def is_callable_hint(hint: Any) -> bool:
    """Return whether a field holds a function or a class, which JSON names by `package.module:name`."""
    return get_origin(hint) is Callable or hint is Callable


def callable_name(value: Any, path: str) -> str:
    """Return what `import_callable` finds a function or class by.

    Raises:
        UserError: it can't be found by a name.
    """
    name = getattr(value, "__qualname__", "")
    if not name.isidentifier():
        raise UserError(
            f"{path} is a {type(value).__qualname__}; give a class or a function on top of a module"
        )
    return f"{value.__module__}:{name}"


def import_callable(name: str, trusted: Collection[str]) -> Callable[..., Any]:
    """Return the function or class `package.module:name`.

    Raises:
        UserError: it can't be imported, can't be called, or isn't trusted.
    """
    _require_trust(name, trusted)
    with one_line_errors(f"{name!r} can't be imported"):
        found = import_object(name, "object")
    if not callable(found):
        raise UserError(f"{name!r} is not a function or class")
    return found


def _require_trust(name: str, trusted: Collection[str]) -> None:
    if name not in trusted:
        raise UserError(f"{name!r} is code from outside unas; if you trust it, add --trust {name}")


@contextmanager
def one_line_errors(what: str) -> Iterator[None]:
    """Turn every error of somebody else's code in the block into one line that begins with `what`.

    Raises:
        UserError: with the error's type and first line.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        lines = str(error).splitlines() or [""]
        raise UserError(f"{what}: {type(error).__name__}: {lines[0]}") from error
