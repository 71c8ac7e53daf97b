"""A scatter of runs: accuracy against what a network costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unas.common.text import readable_number
from unas.report.axes import scale
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
        number: in the table.
        name: of the run.
        cost: in the unit of the axis.
        accuracy: 0 to 1.
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
        unit: of the cost.
        points: at least one.
        limits: (name, cost) of budgets that all runs share.
    """
    key, top = legend([("limit", name) for name, _ in limits], LEFT, RIGHT)
    top += 22
    x = scale(
        [*(point.cost for point in points), *(limit for _, limit in limits)], LEFT + 6, RIGHT - 6
    )
    y = scale([100 * point.accuracy for point in points], top + _HEIGHT, top)
    parts = [*key, *frame(x, y, unit, "test accuracy, %")]
    parts += [line(x(limit), y.start, x(limit), y.end, "limit") for _, limit in limits]
    for point in sorted(points, key=lambda each: -each.number):  # the first of the table on top
        at, height = x(point.cost), y(100 * point.accuracy)
        about = element(
            "title",
            f"{point.name}: {percent(point.accuracy)}, {readable_number(point.cost)} {unit}",
        )
        disc = element("circle", cx=at, cy=height, r=_RADIUS, class_="run")
        digits = label(at, height + 4, str(point.number), anchor="middle", class_="run")
        parts.append(element("g", about, disc, digits))
    says = f"{title}: " + "; ".join(
        f"{point.number} {percent(point.accuracy)} at {readable_number(point.cost)} {unit}"
        for point in points
    )
    return figure(title, svg(WIDTH, top + _HEIGHT + _BELOW, says, parts))
