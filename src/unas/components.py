"""The kinds of components a configuration is made of, and how a name becomes one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from unas import data, estimators, objectives, spaces
from unas.data import Dataset
from unas.errors import UserError
from unas.estimators import Estimator
from unas.objectives import Objective
from unas.spaces import SearchSpace


class Names(Protocol):
    """What turns names into classes and back; see `unas.registry.Registry`."""

    def get(self, name: str) -> type[Any]:
        """Return the class called `name`."""

    def names(self) -> tuple[str, ...]:
        """Return the names of the built-in components."""

    def name_of(self, component: type[Any]) -> str:
        """Return the name of a class."""


NAMES: dict[type, Names] = {
    Dataset: data,
    SearchSpace: spaces.registry,
    Estimator: estimators.registry,
    Objective: objectives.registry,
}


def base_of(component: type) -> type | None:
    """Return which of the bases in `NAMES` a class derives from, or None."""
    return next((base for base in NAMES if issubclass(component, base)), None)


def component_names(value: Any) -> set[str]:
    """Return the names of all components in a configuration, at any depth."""
    if isinstance(value, dict):
        return {name for item in value.values() for name in component_names(item)}
    if not hasattr(value, "__dataclass_fields__"):
        return set()
    base = base_of(type(value))
    own = {NAMES[base].name_of(type(value))} if base else set()
    return own | {name for field in value.__dataclass_fields__ for name in component_names(getattr(value, field))}


def component_class(base: type, name: str, trusted: Collection[str] | None) -> type[Any]:
    """Return the component class called `name`.

    Args:
        base: what it must derive from, a key of `NAMES`.
        name: a built-in name, or `package.module:Class`.
        trusted: the names of the second form that may be imported, which runs their code; None: any.

    Raises:
        UserError: there is no such component, it can't be imported, or it isn't trusted.
    """
    if ":" in name and trusted is not None and name not in trusted:
        raise UserError(f"{name!r} is code from outside unas; if you trust it, add --{flag_of(base)} {name}")
    with one_line_errors(f"{name!r} can't be imported"):
        found = NAMES[base].get(name)
    if not issubclass(found, base):
        raise UserError(f"{name!r} is not a subclass of {base.__module__}:{base.__name__}")
    return found


def flag_of(base: type) -> str:
    """Return the flag that chooses a component of this kind, without its dashes."""
    return "space" if base is SearchSpace else base.__name__.lower()


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
