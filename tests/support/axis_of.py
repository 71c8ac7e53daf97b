"""The scale of a drawing, as somebody with a ruler finds it: from its tick labels alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree import ElementTree

from made_run import of_class, words

_SIZES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}


def value_of(label: str) -> float:
    """Return the number of a tick label."""
    number, _, letter = label.partition(" ")
    return float(number) * _SIZES[letter]


def axis(drawing: ElementTree.Element, direction: str) -> Callable[[float], float]:
    """Return the function from pixels to values of the "x" or "y" axis."""
    anchor = {"x": "middle", "y": "end"}[direction]
    labels = [each for each in of_class(drawing, "tick") if each.get("text-anchor") == anchor]
    found = [(float(each.get(direction, "nan")), value_of(words(each))) for each in labels]
    is_log = direction == "y" and "logarithmic" in "".join(drawing.itertext())
    (first_at, first), (last_at, last) = found[0], found[-1]
    shift = (
        4.0 if direction == "y" else 0.0
    )  # labels stand on their line with the middle of their height
    assert first != last

    def value(pixel: float) -> float:
        share = (pixel + shift - first_at) / (last_at - first_at)
        return (
            float(first ** (1 - share) * last**share) if is_log else first + share * (last - first)
        )

    return value


def points(drawing: ElementTree.Element, class_: str) -> list[tuple[float, float]]:
    """Return the pixels that a path goes through."""
    (found,) = [each for each in of_class(drawing, class_) if each.tag == "path"]
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", found.get("d", ""))]
