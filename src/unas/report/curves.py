"""Plots over steps: a line through the means of bins, in a band from least to largest figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
_WIDE = 30.0  # ratio of the largest to the least figure from which the axis is logarithmic
_FEW = 40  # points, which are shown one by one


@dataclass(frozen=True)
class Curve:
    """One line.

    Args:
        name: what it shows.
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
        name: what it means, with its value.
        value: where it is drawn.
    """

    name: str
    value: float


@dataclass(frozen=True)
class Plot:
    """A plot over the steps of a phase.

    Args:
        title: what it shows.
        unit: what the figures are counted in.
        curves: at least one.
        guides: lines across.
        mark: (step, what happens there), drawn as an upright line.
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
    key, top = legend(_legend_entries(plot), LEFT, RIGHT)
    top += 22
    height = top + _PLOT_HEIGHT + _BELOW
    x, y = _axes(plot, top)
    words = [plot.unit] if plot.unit else []
    if y.is_log:
        words.append("logarithmic")
    shapes = [*key, *frame(x, y, "step", ", ".join(words))]
    if plot.mark is not None:
        shapes += _mark(plot.mark, x, y)
    for index, curve in enumerate(plot.curves):
        shapes += _curve(curve, x, y, f"c{index % _STYLES}")
    for guide in plot.guides:
        shapes.append(line(x.start, y(guide.value), x.end, y(guide.value), "guide"))
    shapes += _hover(plot.curves, x, y)
    ends = [f"{curve.name} ends at {readable_number(curve.last)}" for curve in plot.curves]
    says = ""
    if len(plot.curves) == 1:
        says = f"ends at {readable_number(plot.curves[0].last)}"
    drawing = svg(WIDTH, height, f"{plot.title}: {'; '.join(ends)}", shapes)
    return figure(plot.title, drawing, says)


def _legend_entries(plot: Plot) -> list[tuple[str, str]]:
    """Return (class, name) of every line; none where the title says it all."""
    if len(plot.curves) == 1 and not plot.guides:
        return []
    curves = [(f"curve c{index % _STYLES}", curve.name) for index, curve in enumerate(plot.curves)]
    guides = [("guide", guide.name) for guide in plot.guides]
    return [*curves, *guides]


def _axes(plot: Plot, top: float) -> tuple[Scale, Scale]:
    steps_shown: list[float] = []
    values = [guide.value for guide in plot.guides]
    values += plot.limits
    for curve in plot.curves:
        for point in curve.bins:
            steps_shown += [point.first, point.last]
            values.append(point.mean)
    x = scale(steps_shown, LEFT, RIGHT, is_tight=True, most=7, finest=1.0)
    is_log = min(values) > 0 and max(values) > _WIDE * min(values)
    y = (log_scale if is_log else scale)(values, top + _PLOT_HEIGHT, top)
    return x, y


def _mark(mark: tuple[float, str], x: Scale, y: Scale) -> list[Markup]:
    step, words = mark
    if not x.low < step < x.high:
        return []
    at = x(step)
    return [
        line(at, y.start, at, y.end, "mark"),
        label(at + 4, y.end + 10, words, class_="quiet"),
    ]


def _curve(curve: Curve, x: Scale, y: Scale, style: str) -> list[Markup]:
    """Return the band and the line of a curve, and its points if they are few.

    The band is cut off at the axes.
    """
    points = [(x(point.step), y(point.mean)) for point in curve.bins]
    shapes = []
    if any(point.low < point.high for point in curve.bins):
        upper = [(x(point.step), y(point.high)) for point in curve.bins]
        lower = [(x(point.step), y(point.low)) for point in reversed(curve.bins)]
        shapes.append(element("path", d=path([*upper, *lower]), class_=f"band {style}"))
    shapes.append(element("path", d=path(points), class_=f"curve {style}"))
    if len(points) <= _FEW:
        for at, height in points:
            shapes.append(element("circle", cx=at, cy=height, r=2.5, class_=f"dot {style}"))
    return shapes


def path(points: Sequence[tuple[float, float]]) -> Markup:
    """Return the data of a path through points, which may be longer than a text may."""
    return Markup("M" + "L".join(f"{number(x)} {number(y)}" for x, y in points))


def _hover(curves: Sequence[Curve], x: Scale, y: Scale) -> list[Markup]:
    """Return columns that can't be seen, each with the figures of its steps, to be pointed at."""
    columns: dict[int, dict[str, Bin]] = {}
    width = (x.end - x.start) / _HOVER_COLUMNS
    for curve in curves:
        for point in curve.bins:
            column = min(int((x(point.step) - x.start) / width), _HOVER_COLUMNS - 1)
            by_name = columns.setdefault(column, {})
            if curve.name in by_name:
                by_name[curve.name].take(point)
            else:
                by_name[curve.name] = replace(point)  # a copy: it takes in others
    height = y.start - y.end
    drawn = []
    for column, by_name in sorted(columns.items()):
        left = x.start + column * width
        about = element("title", _says(by_name))
        drawn.append(
            element("rect", about, x=left, y=y.end, width=width, height=height, class_="hover")
        )
    return drawn


def _says(by_name: Mapping[str, Bin]) -> str:
    first_step = min(point.first for point in by_name.values())
    last_step = max(point.last for point in by_name.values())
    figures = [f"{name} {_range(point)}" for name, point in by_name.items()]
    return f"{steps(first_step, last_step)}: {', '.join(figures)}"


def _range(point: Bin) -> str:
    mean = readable_number(point.mean)
    if point.low == point.high:
        return mean
    return f"{mean} ({readable_number(point.low)} to {readable_number(point.high)})"
