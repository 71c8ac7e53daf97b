"""Text that may be somebody else's, for a terminal: a file must not move its cursor or turn its line around."""

from __future__ import annotations

import re


def printable(text: str, keep: str = "") -> str:
    r"""Return a text with every character that prints nothing as JSON's `\uXXXX`: control, bidirectional, line ends.

    Args:
        text: from a file, or from a person.
        keep: characters that stay as they are, for example the line end.
    """
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return re.sub("(....)", r"\\u\1", character.encode("utf-16-be", "surrogatepass").hex())
