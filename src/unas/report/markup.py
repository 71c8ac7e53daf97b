"""HTML and SVG that is safe by construction: whatever is not `Markup` already is escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable

from unas.common.text import drawable

MAX_CHARACTERS = 2000  # of one text; what unas writes is shorter
_CLOSED = frozenset({"meta", "img", "br", "col", "line", "path", "circle"})


class Markup(str):
    """Text that is HTML or SVG, made by `element`, `text` or `join`."""

    __slots__ = ()


def text(words: str) -> Markup:
    """Return text as HTML and XML: escaped, without control characters, cut if it is very long.

    A run directory may be somebody else's, and neither format can hold a control character.
    """
    cut = words if len(words) <= MAX_CHARACTERS else words[:MAX_CHARACTERS] + "…"
    return Markup(html.escape(drawable(cut)))


def join(parts: Iterable[str | None]) -> Markup:
    """Return parts one after the other; None is left out."""
    return Markup("".join(_escaped(part) for part in parts if part is not None))


def element(tag: str, *children: str | None, **attributes: str | float | None) -> Markup:
    """Return an element.

    Args:
        tag: its name.
        children: text, or `Markup`; None is left out.
        attributes: by name, with _ for -, and a _ at the end of Python's own words (`class_`).
            Numbers are rounded to a tenth, None is left out.
    """
    start = tag
    for name, value in attributes.items():
        if value is not None:
            start += f' {_attribute(name)}="{_value(value)}"'
    if tag in _CLOSED:
        return Markup(f"<{start}/>")
    return Markup(f"<{start}>{join(children)}</{tag}>")


def number(value: float) -> str:
    """Return a coordinate: a tenth of a pixel is the finest that can be seen.

    Raises:
        ValueError: it isn't finite, which no drawing can hold.
    """
    if not math.isfinite(value):
        raise ValueError(f"coordinate {value}")
    rounded = f"{value:.1f}".removesuffix(".0")
    return "0" if rounded == "-0" else rounded


def _attribute(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return _escaped(value)
    return number(value)


def _escaped(words: str) -> Markup:
    return words if isinstance(words, Markup) else text(words)
