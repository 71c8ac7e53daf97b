"""Components found by name: one file of a package each, or `package.module:name` from elsewhere."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Generic, TypeGuard, TypeVar

from unas.common.errors import UserError

T = TypeVar("T")


def one_of(name: str, names: tuple[str, ...]) -> str:
    """Return the end of an error line: the name that `name` is close to, if any, and all names."""
    known = f"There are: {', '.join(names)}"
    close = difflib.get_close_matches(name, names, 1)
    if close:
        return f"did you mean {close[0]}? {known}"
    return known


def is_built_in(name: str) -> bool:
    """Return whether a name is that of a component of this package, not of code from elsewhere.

    A name in a file may be looked up only if it is: somebody else's file must not make us import
    somebody else's code.
    """
    return ":" not in name


def import_object(path: str, kind: str) -> object:
    """Import `package.module:name`.

    Raises:
        UserError: the module or the name in it doesn't exist.
    """
    module_name, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{kind} {path!r}: no module {error.name!r}; is its folder on PYTHONPATH?"
        ) from error
    except (AttributeError, ValueError) as error:
        raise UserError(f"{kind} {path!r}: {module_name} has no {attribute!r}") from error


class Registry(Generic[T]):
    """The components of one kind: the public modules of a package, one component each.

    A module `gumbel_softmax.py` defines one concrete subclass of `base` and is known as
    `gumbel_softmax`. Nothing is imported before it is asked for.

    Args:
        kind: the word for messages, for example "estimator".
        package: the package whose modules are scanned.
        base: what every component derives from.
    """

    def __init__(self, kind: str, package: str, base: type[T]) -> None:
        self.kind = kind
        self.package = package
        self.base = base

    def names(self) -> tuple[str, ...]:
        """Return the names of the built-in components, sorted."""
        path = importlib.import_module(self.package).__path__
        modules = sorted(module.name for module in pkgutil.iter_modules(path))
        return tuple(name for name in modules if not name.startswith("_") and name != "base")

    def get(self, name: str) -> type[T]:
        """Return the class called `name`: a built-in component or `package.module:Class`.

        Raises:
            UserError: there is no such component.
        """
        if not is_built_in(name):
            return self._checked(import_object(name, self.kind), name)
        module_name = name.replace("-", "_").lower()
        if module_name not in self.names():
            raise UserError(f"{self.kind} {name!r} does not exist; {one_of(name, self.names())}")
        module = importlib.import_module(f"{self.package}.{module_name}")
        (component,) = filter(self._is_component, _classes_of(module))
        return component

    def name_of(self, component: type[T]) -> str:
        """Return the name that `get` knows `component` by."""
        package, _, module = component.__module__.rpartition(".")
        if package == self.package:
            return module
        return f"{component.__module__}:{component.__qualname__}"

    def _is_component(self, candidate: type) -> TypeGuard[type[T]]:
        return issubclass(candidate, self.base) and not inspect.isabstract(candidate)

    def _checked(self, component: object, name: str) -> type[T]:
        if inspect.isclass(component) and issubclass(component, self.base):
            return component
        base = f"{self.base.__module__}:{self.base.__name__}"
        raise UserError(f"{self.kind} {name!r} is not a subclass of {base}")


def _classes_of(module: ModuleType) -> Iterator[type]:
    """Yield the classes that a module defines, not those that it imports."""
    for value in vars(module).values():
        if inspect.isclass(value) and value.__module__ == module.__name__:
            yield value
