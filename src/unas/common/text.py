"""Text for people: printable, short, with sizes and times that can be read."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

_LONGEST = 60  # characters of a value in a message
_MARK = "\N{REPLACEMENT CHARACTER}"
_LARGE = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def printable(text: str, keep: str = "") -> str:
    r"""Return a text with every character that prints nothing as JSON's `\uXXXX`.

    Those are control characters, line ends, and the marks that change a line's direction.

    Args:
        text: from a file, or from a person.
        keep: characters that stay as they are, for example the line end.
    """
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    # JSON knows units of 16 bits; a character beyond U+FFFF has two of them.
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return re.sub("(....)", r"\\u\1", units)


def is_one_line(text: str) -> bool:
    """Return whether a text is Unicode without line ends and control characters."""
    kinds = {unicodedata.category(character) for character in text}
    # Control characters, halves of a character, ends of lines and of paragraphs.
    return kinds.isdisjoint({"Cc", "Cs", "Zl", "Zp"})


def drawable(text: str) -> str:
    """Return a text with a mark for every character that prints nothing, as XML needs it."""
    return "".join(c if c.isprintable() else _MARK for c in text)


def readable_size(num_bytes: int) -> str:
    """Return a number of bytes as a person reads it."""
    if num_bytes >= 2**20:
        return f"{num_bytes / 2**20:.1f} MiB"
    return f"{num_bytes / 2**10:.1f} KiB"


def readable_number(value: float) -> str:
    """Return a figure of any size with up to four digits: "0.0371", "1.258 M"."""
    for size, letter in _LARGE:
        if abs(value) >= size and (size > 1e3 or abs(value) >= 1e4):
            return f"{value / size:.4g} {letter}"
    return f"{value:.4g}"


def readable_count(value: float) -> str:
    """Return a whole number in full, "117,914", where that can be read: up to a hundred million."""
    if abs(value) < 1e8:
        return f"{value:,.0f}"
    return readable_number(value)


def readable_time(seconds: float) -> str:
    """Return a duration as a person reads it: "42 s", "3 min 05 s", "2 h 07 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def shown(value: Any) -> str:
    """Return a JSON value for a message: short, on one line."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
