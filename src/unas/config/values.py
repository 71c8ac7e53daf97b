"""Plain values of a configuration, checked against their type hints: from JSON, or typed in a shell."""

from __future__ import annotations

import math
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from unas.common.errors import UserError
from unas.common.text import shown

_WORDS = {
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    str: "text",
    NoneType: "none",
}


def expectation(hint: Any) -> str:
    """Return what a value must be, to follow "it must be"."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return " or ".join(expectation(member) for member in arguments)
    if origin is Literal:
        return " or ".join(str(option) for option in arguments)
    if origin is tuple:
        parts = [expectation(member) for member in arguments if member is not Ellipsis]
        return (
            f"a list, each {parts[0]}" if Ellipsis in arguments else f"a list of {', '.join(parts)}"
        )
    return _WORDS.get(hint, "of another type")


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
        raise UserError(f"{path} is {shown(value)}; it must be {expectation(hint)}") from error


def parse_text(hint: Any, text: str, flag: str) -> Any:
    """Return what was typed as the type of its hint; "none" is None, commas separate the items of a tuple.

    Raises:
        UserError: it can't be read as that type.
    """
    try:
        return _convert(hint, _read(hint, text))
    except (ValueError, OverflowError) as error:
        raise UserError(f"{flag} is {shown(text)}; it must be {expectation(hint)}") from error


def metavar(hint: Any) -> str:
    """Return what stands for the value in help."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return "|".join(metavar(member) for member in arguments)
    if origin is Literal:
        return "{" + ",".join(str(option) for option in arguments) + "}"
    if origin is tuple:
        return f"{metavar(arguments[0])},…"
    return {int: "INT", float: "FLOAT", bool: "{true,false}", NoneType: "none"}.get(hint, "TEXT")


def _convert(hint: Any, value: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return _first(arguments, value)
    if origin is Literal:
        return next(
            _only(option for option in arguments if type(option) is type(value) and option == value)
        )
    if origin is tuple:
        return _convert_items(arguments, value)
    if hint is float and type(value) is int:
        value = float(value)
    if hint not in _WORDS or type(value) is not hint:
        raise ValueError(hint)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(value)
    if isinstance(value, str):
        value.encode()  # a lone surrogate can't be written to a file
    return value


def _first(hints: tuple[Any, ...], value: Any) -> Any:
    for hint in hints:
        try:
            return _convert(hint, value)
        except (ValueError, OverflowError):
            continue
    raise ValueError(value)


def _only(options: Any) -> Any:
    found = tuple(options)
    if not found:
        raise ValueError
    return iter(found)


def _convert_items(hints: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(value)
    each = (hints[0],) * len(value) if Ellipsis in hints else hints
    return tuple(_convert(hint, item) for hint, item in zip(each, value, strict=True))


def _read(hint: Any, text: str) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        if NoneType in arguments and text.lower() == "none":
            return None
        return _read(next(member for member in arguments if member is not NoneType), text)
    if origin is Literal:
        return next((option for option in arguments if str(option) == text), text)
    if origin is tuple:
        return [_read(arguments[0], part.strip()) for part in text.split(",") if part.strip()]
    if hint is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    return hint(text) if hint in {int, float} else text
