"""Plots of figures over steps: a line through the means of bins, and a band from the least to the largest figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unas.common.text import readable_number
from unas.report.axes import Scale, log_scale, scale
from unas.report.drawing import figure, frame, label, legend, line, svg
from unas.report.figures import steps
from unas.report.markup import Markup, element, number
from unas.report.series import Bin

WIDTH, LEFT, RIGHT = 480.0, 56.0, 468.0
_PLOT_HEIGHT, _BELOW = 176.0, 38.0
_STYLES = 6  # of curves, each with a colour and a dash of its own
_HOVER_COLUMNS = 64
# Ratio of the largest to the least figure from which equal ratios are shown as equal distances
_WIDE = 30.0
_FEW = 40  # points, which are shown one by one


@dataclass(frozen=True)
class Curve:
    """One line.

    Args:
        name: what it is.
        bins: its points, at least one.
        last: its last figure.
    """

    name: str
    bins: Sequence[Bin]
    last: float


@dataclass(frozen=True)
class Guide:
    """A horizontal line to hold curves against.

    Args:
        name: what it is, with its value.
        value: where it is.
    """

    name: str
    value: float


@dataclass(frozen=True)
class Plot:
    """A plot over the steps of a phase.

    Args:
        title: what it shows.
        unit: of the figures.
        curves: at least one.
        guides: lines across.
        mark: (step, what happens there), a line upright; None for none.
        limits: values that must be on the axis.
    """

    title: str
    unit: str
    curves: Sequence[Curve]
    guides: Sequence[Guide] = ()
    mark: tuple[float, str] | None = None
    limits: tuple[float, ...] = ()


def draw(plot: Plot) -> Markup:
    """Return a plot as a figure."""
    curves = plot.curves
    entries = [(f"curve c{i % _STYLES}", curve.name) for i, curve in enumerate(curves)]
    entries = entries if len(curves) > 1 or plot.guides else []
    key, top = legend([*entries, *(("guide", guide.name) for guide in plot.guides)], LEFT, RIGHT)
    top += 22
    steps_shown = [
        step for curve in curves for each in curve.bins for step in (each.first, each.last)
    ]
    x = scale(steps_shown, LEFT, RIGHT, is_tight=True, most=7, finest=1.0)
    values = [each.mean for curve in curves for each in curve.bins]
    values += [*(guide.value for guide in plot.guides), *plot.limits]
    is_log = min(values) > 0 and max(values) > _WIDE * min(values)
    y = (log_scale if is_log else scale)(values, top + _PLOT_HEIGHT, top)
    parts = [*key, *frame(x, y, "step", f"{plot.unit}, logarithmic" if is_log else plot.unit)]
    if plot.mark is not None and x.low < plot.mark[0] < x.high:
        at = x(plot.mark[0])
        parts += [
            line(at, y.start, at, y.end, "mark"),
            label(at + 4, y.end + 10, plot.mark[1], class_="quiet"),
        ]
    for i, curve in enumerate(curves):
        parts += _curve(curve, x, y, f"c{i % _STYLES}")
    parts += [
        line(x.start, y(guide.value), x.end, y(guide.value), "guide") for guide in plot.guides
    ]
    parts += _hover(curves, x, y)
    says = "; ".join(f"{curve.name} ends at {readable_number(curve.last)}" for curve in curves)
    drawing = svg(WIDTH, top + _PLOT_HEIGHT + _BELOW, f"{plot.title}: {says}", parts)
    return figure(
        plot.title,
        drawing,
        f"ends at {readable_number(curves[0].last)}" if len(curves) == 1 else "",
    )


def _curve(curve: Curve, x: Scale, y: Scale, style: str) -> list[Markup]:
    """Return the band and the line of a curve, and its points if they are few. The band is cut off at the axes."""
    points = [(x(each.step), y(each.mean)) for each in curve.bins]
    parts = []
    if any(each.low < each.high for each in curve.bins):
        upper = [(x(each.step), y(each.high)) for each in curve.bins]
        lower = [(x(each.step), y(each.low)) for each in reversed(curve.bins)]
        parts.append(element("path", d=path([*upper, *lower]), class_=f"band {style}"))
    parts.append(element("path", d=path(points), class_=f"curve {style}"))
    if len(points) <= _FEW:
        parts += [
            element("circle", cx=at, cy=height, r=2.5, class_=f"dot {style}")
            for at, height in points
        ]
    return parts


def path(points: Sequence[tuple[float, float]]) -> Markup:
    """Return the data of a path through points, which may be longer than a text may."""
    return Markup("M" + "L".join(f"{number(x)} {number(y)}" for x, y in points))


def _hover(curves: Sequence[Curve], x: Scale, y: Scale) -> list[Markup]:
    """Return columns that can't be seen, each with the figures of its steps for who points there."""
    columns: dict[int, dict[str, Bin]] = {}
    size = (x.end - x.start) / _HOVER_COLUMNS
    for curve in curves:
        for each in curve.bins:
            column = min(int((x(each.step) - x.start) / size), _HOVER_COLUMNS - 1)
            found = columns.setdefault(column, {})
            if curve.name in found:
                found[curve.name].take(each)
            else:
                found[curve.name] = Bin(
                    each.first, each.last, each.count, each.total, each.low, each.high
                )
    return [
        element(
            "rect", element("title", _says(found)),
            x=x.start + column * size, y=y.end, width=size, height=y.start - y.end, class_="hover",
        )
        for column, found in sorted(columns.items())
    ]  # fmt: skip


def _says(found: dict[str, Bin]) -> str:
    first, last = (
        min(each.first for each in found.values()),
        max(each.last for each in found.values()),
    )
    return f"{steps(first, last)}: " + ", ".join(
        f"{name} {_range(each)}" for name, each in found.items()
    )


def _range(each: Bin) -> str:
    spread = (
        f" ({readable_number(each.low)} to {readable_number(each.high)})"
        if each.low < each.high
        else ""
    )
    return f"{readable_number(each.mean)}{spread}"
