"""Several runs side by side: a table, and accuracy against what their networks cost."""

from __future__ import annotations

from collections.abc import Sequence

from unas.common.text import readable_count, readable_number
from unas.report import costs, scatter
from unas.report.command import recipe_of
from unas.report.fields import Fields
from unas.report.figures import budget, milliseconds, percent
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
    rows = [_row(number, run) for number, run in enumerate(runs, 1)]
    found = table(
        "The runs; latency is of the exported file for one image, median and p10 to p90",
        _HEAD,
        rows,
        _NUMERIC,
    )
    drawn = [each for each in (_latency(runs), _parameters(runs)) if each is not None]
    plots = (
        element("div", *drawn, class_="plots")
        if drawn
        else missing("No two runs are tested: nothing to plot.")
    )
    return section("Comparison", level, found, plots)


def _row(number: int, run: RunData) -> list[str]:
    summary, latency = run.summary, exported(run)
    accuracy, parameters, macs = (
        summary.number(name) for name in ("test_accuracy", "parameters", "macs")
    )
    seed = run.config.number("seed")
    return [
        element("a", f"{number} · {run.name}", href=f"#run-{number}"),
        recipe_of(run),
        "" if seed is None else f"{seed:.0f}",
        stage(run) if accuracy is None else percent(accuracy),
        "" if parameters is None else readable_count(parameters),
        "" if macs is None else readable_number(macs),
        "" if latency is None else _time(latency),
        _verdicts(run),
    ]


def _time(latency: Fields) -> str:
    low, median, high = (latency.number(name) for name in ("p10", "median_ms", "p90"))
    spread = "" if low is None or high is None else f"{low:.4g} to {high:.4g}"
    return (
        ""
        if median is None
        else element("span", milliseconds(median), " ", element("small", spread))
    )


def _verdicts(run: RunData) -> Markup:
    parts: list[str] = []
    for item in run.summary.objects("budgets"):
        kind, mark = ("pass", "✓ PASS") if item.flag("passed") else ("fail", "✗ FAIL")
        parts.append(
            element("div", element("b", mark, class_=kind), f" {budget(item.text('budget'))}")
        )
    none = "no verdict yet" if costs.asked(run.config) else "none set"
    return element("div", *(parts or [none]))


def _latency(runs: Sequence[RunData]) -> Markup | None:
    """Return accuracy against latency: the one that a budget of all runs was judged by, else that of the export."""
    shared = _shared(runs, "latency")
    points = _judged(runs, shared[0][1]) if len(shared) == 1 else _exported(runs)
    return scatter.draw("Accuracy against latency", "ms", points, shared) if points[1:] else None


def _judged(runs: Sequence[RunData], limit: float) -> list[Point]:
    points = []
    for number, run in enumerate(runs, 1):
        accuracy = run.summary.number("test_accuracy")
        for item in run.summary.objects("budgets"):
            value = item.number("value")
            is_it = item.text("quantity") == "latency" and item.number("limit") == limit
            if is_it and value is not None and accuracy is not None:
                points.append(Point(number, run.name, value, accuracy))
    return points


def _exported(runs: Sequence[RunData]) -> list[Point]:
    """Return nothing if runs were measured on different machines, or in different ways."""
    points, ways = [], set()
    for number, run in enumerate(runs, 1):
        latency, accuracy = exported(run), run.summary.number("test_accuracy")
        median = latency.number("median_ms") if latency is not None else None
        if latency is None or median is None or accuracy is None:
            continue
        machine = latency.object("fingerprint")
        texts = machine.text("processor"), machine.text("accelerator")
        ways.add(
            (latency.text("backend"), latency.text("device"), texts, machine.number("threads"))
        )
        points.append(Point(number, run.name, median, accuracy))
    return points if len(ways) == 1 else []


def _parameters(runs: Sequence[RunData]) -> Markup | None:
    points = []
    for number, run in enumerate(runs, 1):
        parameters, accuracy = run.summary.number("parameters"), run.summary.number("test_accuracy")
        if parameters is not None and accuracy is not None:
            points.append(Point(number, run.name, parameters, accuracy))
    return (
        scatter.draw("Accuracy against size", "parameters", points, _shared(runs, "params"))
        if points[1:]
        else None
    )


def _shared(runs: Sequence[RunData], kind: str) -> list[tuple[str, float]]:
    """Return the budgets on a quantity that all runs have alike, each with its name."""
    each = [
        {
            (item.text("budget"), limit)
            for item in run.summary.objects("budgets")
            if item.text("quantity") == kind and (limit := item.number("limit")) is not None
        }
        for run in runs
    ]
    return [
        (f"limit, {costs.quantity(kind, limit)}", limit)
        for _, limit in sorted(set.intersection(*each))
    ]
