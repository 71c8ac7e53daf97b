"""Several runs side by side: a table, and accuracy against what their networks cost."""

from __future__ import annotations

from collections.abc import Sequence

from unas.common.text import readable_count, readable_number
from unas.report import costs, scatter
from unas.report.command import recipe_of
from unas.report.fields import Fields
from unas.report.figures import budget, if_known, milliseconds, percent
from unas.report.markup import Markup, element
from unas.report.parts import missing, section, table
from unas.report.run_data import RunData
from unas.report.scatter import Point
from unas.report.stage import stage
from unas.report.verdict import exported

_HEAD = (
    "run",
    "recipe",
    "seed",
    "test accuracy",
    "parameters",
    "multiply-adds",
    "latency",
    "budgets",
)
_NUMERIC = (2, 3, 4, 5, 6)


def draw(runs: Sequence[RunData], level: int) -> Markup:
    """Return the section."""
    caption = "The runs; latency is of the exported file for one image, median and p10 to p90"
    rows = [_row(number, run) for number, run in enumerate(runs, 1)]
    scatters = [plot for plot in (_latency(runs), _parameters(runs)) if plot is not None]
    if scatters:
        plots = element("div", *scatters, class_="plots")
    else:
        plots = missing("No two runs are tested: nothing to plot.")
    return section("Comparison", level, table(caption, _HEAD, rows, _NUMERIC), plots)


def _row(number: int, run: RunData) -> list[str]:
    summary = run.summary
    accuracy = summary.number("test_accuracy")
    return [
        element("a", f"{number} · {run.name}", href=f"#run-{number}"),
        recipe_of(run),
        if_known(run.config.number("seed"), "{:.0f}".format),
        stage(run) if accuracy is None else percent(accuracy),
        if_known(summary.number("parameters"), readable_count),
        if_known(summary.number("macs"), readable_number),
        _time(run),
        _verdicts(run),
    ]


def _time(run: RunData) -> str:
    latency = exported(run)
    median = None if latency is None else latency.number("median_ms")
    if latency is None or median is None:
        return ""
    low = latency.number("p10")
    high = latency.number("p90")
    spread = "" if low is None or high is None else f"{low:.4g} to {high:.4g}"
    return element("span", milliseconds(median), " ", element("small", spread))


def _verdicts(run: RunData) -> Markup:
    lines: list[str] = []
    for verdict in run.summary.objects("budgets"):
        is_met = verdict.flag("passed")
        mark = element("b", "✓ PASS" if is_met else "✗ FAIL", class_="pass" if is_met else "fail")
        lines.append(element("div", mark, f" {budget(verdict.text('budget'))}"))
    if not lines:
        lines.append("no verdict yet" if costs.asked(run.config) else "none set")
    return element("div", *lines)


def _latency(runs: Sequence[RunData]) -> Markup | None:
    """Return accuracy against latency.

    It is the latency that a budget of all runs was judged by, or else that of the exported files.
    """
    limits = _shared_limits(runs, "latency")
    points = _judged(runs, limits[0]) if len(limits) == 1 else _exported(runs)
    return _scatter("Accuracy against latency", "ms", points, "latency", limits)


def _parameters(runs: Sequence[RunData]) -> Markup | None:
    points = []
    for number, run in enumerate(runs, 1):
        parameters = run.summary.number("parameters")
        accuracy = run.summary.number("test_accuracy")
        if parameters is not None and accuracy is not None:
            points.append(Point(number, run.name, parameters, accuracy))
    limits = _shared_limits(runs, "params")
    return _scatter("Accuracy against size", "parameters", points, "params", limits)


def _scatter(
    title: str, unit: str, points: Sequence[Point], quantity: str, limits: Sequence[float]
) -> Markup | None:
    """Return a plot of two points or more; None of fewer."""
    if len(points) < 2:
        return None
    named = [(f"limit, {costs.quantity(quantity, limit)}", limit) for limit in limits]
    return scatter.draw(title, unit, points, named)


def _judged(runs: Sequence[RunData], limit: float) -> list[Point]:
    points = []
    for number, run in enumerate(runs, 1):
        accuracy = run.summary.number("test_accuracy")
        for verdict in run.summary.objects("budgets"):
            value = verdict.number("value")
            is_it = verdict.text("quantity") == "latency" and verdict.number("limit") == limit
            if is_it and value is not None and accuracy is not None:
                points.append(Point(number, run.name, value, accuracy))
    return points


def _exported(runs: Sequence[RunData]) -> list[Point]:
    """Return nothing if runs were measured on different machines, or in different ways."""
    points = []
    ways = set()
    for number, run in enumerate(runs, 1):
        latency = exported(run)
        median = None if latency is None else latency.number("median_ms")
        accuracy = run.summary.number("test_accuracy")
        if latency is None or median is None or accuracy is None:
            continue
        ways.add(_way(latency))
        points.append(Point(number, run.name, median, accuracy))
    return points if len(ways) == 1 else []


def _way(latency: Fields) -> tuple[str | float | None, ...]:
    """Return by what, on what and how a latency was measured."""
    machine = latency.object("fingerprint")
    return (
        latency.text("backend"),
        latency.text("device"),
        machine.text("processor"),
        machine.text("accelerator"),
        machine.number("threads"),
    )


def _shared_limits(runs: Sequence[RunData], quantity: str) -> list[float]:
    """Return the limits of the budgets on a quantity that all runs have alike."""
    shared = set.intersection(*(_budgets_on(run, quantity) for run in runs))
    return [limit for _, limit in sorted(shared)]


def _budgets_on(run: RunData, quantity: str) -> set[tuple[str, float]]:
    """Return (budget, its limit) of the budgets on a quantity that a run was judged by."""
    budgets = set()
    for verdict in run.summary.objects("budgets"):
        limit = verdict.number("limit")
        if verdict.text("quantity") == quantity and limit is not None:
            budgets.add((verdict.text("budget"), limit))
    return budgets
