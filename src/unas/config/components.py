"""The kinds of components a configuration is made of, and how a name becomes one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable
from dataclasses import fields, is_dataclass
from typing import Any, get_origin

from unas import data, estimators, objectives, spaces
from unas.budgets import quantities
from unas.budgets.quantities import Quantity
from unas.common.errors import UserError, one_line_errors
from unas.common.registry import Registry, import_object, is_built_in
from unas.data import Dataset
from unas.estimators import Estimator
from unas.latency import backends
from unas.latency.backends import Backend
from unas.objectives import Term
from unas.spaces import SearchSpace

REGISTRIES: dict[type, Registry[Any]] = {
    Dataset: data.registry,
    SearchSpace: spaces.registry,
    Estimator: estimators.registry,
    Term: objectives.registry,
    Backend: backends.registry,
    Quantity: quantities.registry,
}


def base_of(component: type) -> type | None:
    """Return which of the bases in `REGISTRIES` a class derives from, or None."""
    return next((base for base in REGISTRIES if issubclass(component, base)), None)


def outside_names(value: Any) -> set[str]:
    """Return the names of all code from outside in a configuration, at any depth.

    See `is_outside`.
    """
    if isinstance(value, dict):
        return _union(value.values())
    if isinstance(value, tuple | list):
        return _union(value)
    if is_dataclass(value) and not isinstance(value, type):
        names = _union(getattr(value, field.name) for field in fields(value))
        base = base_of(type(value))
        if base is not None and is_outside(type(value)):
            names.add(REGISTRIES[base].name_of(type(value)))
        return names
    if inspect.isclass(value) or inspect.isfunction(value):
        return {callable_name(value, "")}
    return set()


def _union(values: Iterable[Any]) -> set[str]:
    names: set[str] = set()
    for value in values:
        names |= outside_names(value)
    return names


def is_outside(component: type) -> bool:
    """Return whether a component runs code from outside: a class or a user's command."""
    base = base_of(component)
    if base is None or not is_built_in(REGISTRIES[base].name_of(component)):
        return True
    return issubclass(component, Backend) and component.runs_foreign_code


def component_class(base: type, name: str, trusted: Collection[str]) -> type[Any]:
    """Return the component class called `name`.

    Args:
        base: what it must derive from, a key of `REGISTRIES`.
        name: a built-in name, or `package.module:Class`.
        trusted: the names of code from outside that may be used, which runs it.

    Raises:
        UserError: there is no such component, it can't be imported, or it isn't trusted.
    """
    if not is_built_in(name):
        require_trust(name, trusted)  # before it is imported
    with one_line_errors(f"{name!r} can't be imported"):
        component = REGISTRIES[base].get(name)
    if is_outside(component):
        require_trust(REGISTRIES[base].name_of(component), trusted)
    return component


def is_callable_hint(hint: Any) -> bool:
    """Return whether a field holds a function or a class: `package.module:name` in JSON."""
    return get_origin(hint) is Callable or hint is Callable


def callable_name(value: Any, path: str) -> str:
    """Return what `import_callable` finds a function or class by.

    Raises:
        UserError: it can't be found by a name.
    """
    name = getattr(value, "__qualname__", "")
    if not name.isidentifier():
        kind = type(value).__qualname__
        raise UserError(f"{path} is a {kind}; give a class or a function on top of a module")
    return f"{value.__module__}:{name}"


def import_callable(name: str, trusted: Collection[str]) -> Callable[..., Any]:
    """Return the function or class `package.module:name`.

    Raises:
        UserError: it can't be imported, can't be called, or isn't trusted.
    """
    require_trust(name, trusted)
    with one_line_errors(f"{name!r} can't be imported"):
        value = import_object(name, "object")
    if not callable(value):
        raise UserError(f"{name!r} is not a function or class")
    return value


def require_trust(name: str, trusted: Collection[str]) -> None:
    """Refuse code from outside that a file names and nobody has named here.

    Raises:
        UserError: says how to name it.
    """
    if name not in trusted:
        raise UserError(f"{name!r} is code from outside unas; if you trust it, add --trust {name}")
