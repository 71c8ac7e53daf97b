"""A scatter of runs: accuracy against what a network costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unas.common.text import readable_number
from unas.report.axes import Scale, scale
from unas.report.curves import LEFT, RIGHT, WIDTH
from unas.report.drawing import figure, frame, label, legend, line, svg
from unas.report.figures import percent
from unas.report.markup import Markup, element

_HEIGHT, _BELOW = 230.0, 38.0
_RADIUS = 9.0


@dataclass(frozen=True)
class Point:
    """A run.

    Args:
        number: its row in the table.
        name: what it is called.
        cost: what its network costs, in the unit of the axis.
        accuracy: on the test images, from 0 to 1.
    """

    number: int
    name: str
    cost: float
    accuracy: float


def draw(
    title: str, unit: str, points: Sequence[Point], limits: Sequence[tuple[str, float]]
) -> Markup:
    """Return the figure.

    Runs carry their number in the table, so that they can be told apart without colours.

    Args:
        title: what it shows.
        unit: what the cost is counted in.
        points: at least one.
        limits: (name, cost) of budgets that all runs share.
    """
    key, top = legend([("limit", name) for name, _ in limits], LEFT, RIGHT)
    top += 22
    costs = [point.cost for point in points]
    costs += [limit for _, limit in limits]
    x = scale(costs, LEFT + 6, RIGHT - 6)
    y = scale([100 * point.accuracy for point in points], top + _HEIGHT, top)
    shapes = [*key, *frame(x, y, unit, "test accuracy, %")]
    shapes += [line(x(limit), y.start, x(limit), y.end, "limit") for _, limit in limits]
    for point in sorted(points, key=lambda point: -point.number):  # the first of the table on top
        shapes.append(_disc(point, unit, x, y))
    words = [f"{point.number} {_words(point, unit, ' at')}" for point in points]
    about = f"{title}: {'; '.join(words)}"
    return figure(title, svg(WIDTH, top + _HEIGHT + _BELOW, about, shapes))


def _disc(point: Point, unit: str, x: Scale, y: Scale) -> Markup:
    at = x(point.cost)
    height = y(100 * point.accuracy)
    about = element("title", f"{point.name}: {_words(point, unit, ',')}")
    disc = element("circle", cx=at, cy=height, r=_RADIUS, class_="run")
    digits = label(at, height + 4, str(point.number), anchor="middle", class_="run")
    return element("g", about, disc, digits)


def _words(point: Point, unit: str, between: str) -> str:
    return f"{percent(point.accuracy)}{between} {readable_number(point.cost)} {unit}"
