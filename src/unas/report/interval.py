"""A figure with its interval against a limit: a verdict at a glance."""

from __future__ import annotations

from unas.report.axes import scale
from unas.report.drawing import label, line, svg
from unas.report.markup import Markup, element

WIDTH, HEIGHT, LEFT, RIGHT = 260.0, 50.0, 10.0, 250.0
_MIDDLE, _HALF, _BOTTOM = 17.0, 6.0, 32.0


def draw(value: float, low: float, high: float, limit: float, about: str) -> Markup:
    """Return a small plot from 0 to beyond the limit.

    What is allowed is shaded, the figure is a dot, and its interval a bar.

    Args:
        value: the figure.
        low: the lower end of its 95 % interval.
        high: the upper end of its 95 % interval.
        limit: the most that is allowed.
        about: the same in words.
    """
    x = scale([0.0, 1.12 * limit, 1.06 * high, value, low], LEFT, RIGHT, is_tight=True, most=4)
    style = "pass" if high <= limit else "fail"
    width = max(0.0, x(limit) - x(0))
    shapes = [
        element("rect", x=x(0), y=4.0, width=width, height=_BOTTOM - 4, class_="allowed"),
        line(x.start, _BOTTOM, x.end, _BOTTOM, "axis"),
    ]
    shapes += [
        label(at, _BOTTOM + 14, words, anchor="middle", class_="tick") for at, words in x.labels()
    ]
    shapes.append(line(x(limit), 1.0, x(limit), _BOTTOM, "limit"))
    shapes.append(line(x(low), _MIDDLE, x(high), _MIDDLE, f"whisker {style}"))
    for end in (low, high):
        shapes.append(line(x(end), _MIDDLE - _HALF, x(end), _MIDDLE + _HALF, f"whisker {style}"))
    shapes.append(element("circle", cx=x(value), cy=_MIDDLE, r=4.0, class_=f"value {style}"))
    return svg(WIDTH, HEIGHT, about, shapes, class_="interval")
