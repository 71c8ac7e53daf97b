"""Recipes: functions that return the configuration of a run; one a file."""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

from unas.common.errors import UserError
from unas.common.registry import import_object, is_built_in, one_of
from unas.config import Config


def names() -> tuple[str, ...]:
    """Return the names of the built-in recipes."""
    modules = [module.name for module in pkgutil.iter_modules(__path__)]
    public = [name for name in modules if not name.startswith("_")]
    return tuple(sorted(name.replace("_", "-") for name in public))


def recipe(name: str) -> Config:
    """Return the configuration of a recipe.

    Args:
        name: a built-in recipe, or `package.module:function` of a function that takes nothing and
            returns a `Config`.

    Raises:
        UserError: there is no such recipe.
    """
    if not is_built_in(name):
        function = import_object(name, "recipe")
    elif name.lower() in names():
        module_name = name.lower().replace("-", "_")
        function = getattr(importlib.import_module(f"{__name__}.{module_name}"), module_name)
    else:
        raise UserError(
            f"recipe {name!r} does not exist; {one_of(name, names())}, or package.module:function"
        )
    config = cast("object", function() if callable(function) else None)
    if not isinstance(config, Config):
        raise UserError(
            f"recipe {name!r} returned {type(config).__name__}; "
            "it must be a function returning a Config"
        )
    return config


__all__ = ["Config", "names", "recipe"]
