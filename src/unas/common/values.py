"""Plain values by their type hints: checked in JSON, read from what somebody types."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from unas.common.errors import UserError
from unas.common.text import shown

_EXPECTED = {
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    str: "text",
    NoneType: "none",
}
_PLACEHOLDERS = {int: "INT", float: "FLOAT", bool: "{true,false}", str: "TEXT", NoneType: "none"}
_UNIONS = (Union, UnionType)


def check_value(hint: Any, value: Any, path: str) -> Any:
    """Return a JSON value as the type of its hint.

    Args:
        hint: int, float, str, bool, None, a Literal, a union or a tuple of these.
        value: what JSON held; whole numbers are taken where numbers are.
        path: the field's name in messages.

    Raises:
        UserError: it is of another type, or a number that isn't finite.
    """
    try:
        return _convert(hint, value)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{path} is {shown(value)}; it must be {_expectation(hint)}") from error


def parse_text(hint: Any, text: str, flag: str) -> Any:
    """Return what was typed after a flag as the type of its hint.

    "none" is None, and commas separate the items of a tuple.

    Raises:
        UserError: it can't be read as that type.
    """
    try:
        return _convert(hint, _from_text(hint, text))
    except (ValueError, OverflowError) as error:
        raise UserError(f"{flag} is {shown(text)}; it must be {_expectation(hint)}") from error


def as_text(value: Any) -> str:
    """Return what `parse_text` reads as this value."""
    if isinstance(value, tuple):
        return ",".join(as_text(item) for item in value) or "none"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)


def metavar(hint: Any) -> str:
    """Return what stands for a value in help."""
    origin = get_origin(hint)
    arguments = get_args(hint)
    if origin in _UNIONS:
        return "|".join(metavar(member) for member in arguments)
    if origin is Literal:
        return "{" + ",".join(str(option) for option in arguments) + "}"
    if origin is tuple:
        return f"{metavar(arguments[0])},…"
    return _PLACEHOLDERS.get(hint, "TEXT")


def _expectation(hint: Any) -> str:
    """Return what a value must be, to follow "it must be"."""
    origin = get_origin(hint)
    arguments = get_args(hint)
    if origin in _UNIONS:
        return " or ".join(_expectation(member) for member in arguments)
    if origin is Literal:
        return " or ".join(str(option) for option in arguments)
    if origin is tuple and Ellipsis in arguments:
        return f"a list, each {_expectation(arguments[0])}"
    if origin is tuple:
        return f"a list of {', '.join(_expectation(member) for member in arguments)}"
    return _EXPECTED.get(hint, "of another type")


def _convert(hint: Any, value: Any) -> Any:
    """Return a value as the type of its hint, or raise ValueError or OverflowError."""
    origin = get_origin(hint)
    arguments = get_args(hint)
    if origin in _UNIONS:
        return _first_that_fits(arguments, lambda member: _convert(member, value))
    if origin is Literal:
        return _first_that_fits(arguments, lambda option: _same(option, value))
    if origin is tuple:
        return _convert_items(arguments, value)
    if hint is float and type(value) is int:
        value = float(value)
    if hint not in _EXPECTED or type(value) is not hint:
        raise ValueError(hint)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(value)
    if isinstance(value, str):
        value.encode()  # a lone surrogate can't be written to a file
    return value


def _first_that_fits(candidates: tuple[Any, ...], convert: Callable[[Any], Any]) -> Any:
    for candidate in candidates:
        try:
            return convert(candidate)
        except (ValueError, OverflowError):
            continue
    raise ValueError(candidates)


def _same(option: Any, value: Any) -> Any:
    if type(option) is not type(value) or option != value:
        raise ValueError(value)
    return option


def _convert_items(hints: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(value)
    if Ellipsis in hints:
        hints = (hints[0],) * len(value)
    return tuple(_convert(hint, item) for hint, item in zip(hints, value, strict=True))


def _from_text(hint: Any, text: str) -> Any:
    """Return what JSON would hold for a text: the text itself, if it can't be read as the hint."""
    origin = get_origin(hint)
    arguments = get_args(hint)
    if origin in _UNIONS:
        if NoneType in arguments and text.lower() == "none":
            return None
        return _first_that_fits(
            arguments, lambda member: _convert(member, _from_text(member, text))
        )
    if origin is Literal:
        options = {str(option): option for option in arguments}
        return options.get(text, text)
    if origin is tuple:
        items = [] if text.lower() == "none" else text.split(",")
        return [_from_text(arguments[0], item.strip()) for item in items if item.strip()]
    if hint is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    return hint(text) if hint in {int, float} else text
