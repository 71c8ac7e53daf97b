"""What was asked of a run, and whether it holds: budgets, accuracy, size, latency."""

from __future__ import annotations

from unas.report import interval
from unas.report.fields import Fields
from unas.report.figures import budget, count, milliseconds, percent, quantity, short
from unas.report.markup import Markup, element
from unas.report.parts import missing, section, table, tile, tiles
from unas.report.run_data import RunData
from unas.report.stage import next_step

_LARGE = 1e4  # multiply-adds from which the tile has them in short


def draw(run: RunData, level: int) -> Markup:
    """Return the section."""
    parts = [
        headline(run),
        None if run.is_finished else missing(next_step(run)),
        _tiles(run),
        _budgets(run),
    ]
    return section("Verdict", level, *parts, _latencies(run))


def verdict_of(run: RunData) -> tuple[str, str]:
    """Return ("pass", "fail" or "none", what is said about the budgets in one line)."""
    found, asked = run.summary.objects("budgets"), run.config.texts("budgets")
    if not found:
        return (
            "none",
            f"no verdict yet on {', '.join(map(budget, asked))}" if asked else "no budget was set",
        )
    failed = [budget(item.text("budget")) for item in found if not item.flag("passed")]
    early = "" if run.is_finished else ", as the untrained network was measured"
    if failed:
        return (
            "fail",
            f"FAIL: {len(failed)} of {len(found)} budgets not met ({', '.join(failed)}){early}",
        )
    each = {1: "the budget is", 2: "both budgets are"}.get(
        len(found), f"all {len(found)} budgets are"
    )
    return "pass", f"PASS: {each} met{early}"


def headline(run: RunData) -> Markup:
    """Return the verdict on all budgets together; a sign says it as well as the colour."""
    kind, says = verdict_of(run)
    sign = {"pass": "✓ ", "fail": "✗ ", "none": ""}[kind]
    return element("p", f"{sign}{says[0].upper()}{says[1:]}", class_=f"verdict {kind}")


def exported(run: RunData) -> Fields | None:
    """Return the latency of the exported file, the first that a run measures; None before."""
    found = run.summary.objects("latency")
    return next(
        (item for item in found if item.text("backend") == "onnxruntime"),
        found[0] if found else None,
    )


def _tiles(run: RunData) -> Markup | None:
    summary, found = run.summary, []
    accuracy, loss = summary.number("test_accuracy"), summary.number("test_loss")
    if accuracy is not None:
        says = "" if loss is None else f"loss {loss:.4g} nats on the test images"
        found.append(tile("Test accuracy", percent(accuracy), says))
    elif (validation := summary.number("validation_accuracy")) is not None:
        found.append(
            tile(
                "Validation accuracy",
                percent(validation),
                "in the supernet: ranks, and says little more",
            )
        )
    if (parameters := summary.number("parameters")) is not None:
        found.append(tile("Parameters", count(parameters), "without the auxiliary head"))
    if (macs := summary.number("macs")) is not None:
        shown = short(macs) if macs >= _LARGE else count(macs)
        found.append(tile("Multiply-adds", shown, f"{macs:,.0f} for one image"))
    if (latency := exported(run)) is not None and (
        median := latency.number("median_ms")
    ) is not None:
        where = f"{latency.text('backend')} on {latency.text('device')}"
        found.append(
            tile("Latency", milliseconds(median), f"p10 to p90 {_spread(latency)}; {where}")
        )
    return tiles(found) if found else None


def _spread(latency: Fields, low: str = "p10", high: str = "p90") -> str:
    ends = latency.number(low), latency.number(high)
    return "" if ends[0] is None or ends[1] is None else f"{ends[0]:.4g} to {milliseconds(ends[1])}"


def _budgets(run: RunData) -> Markup | None:
    rows = [row for item in run.summary.objects("budgets") if (row := _budget(item))]
    if not rows:
        return None
    head = ("budget", "verdict", "value", "95 % interval", "limit", "from 0 to beyond the limit")
    return table(
        "Budgets: a network passes if the whole interval is within the limit", head, rows, (2, 3, 4)
    )


def _budget(item: Fields) -> list[str] | None:
    name, value, limit = item.text("quantity"), item.number("value"), item.number("limit")
    if value is None or limit is None:
        return None
    low, high = item.number("low"), item.number("high")
    low, high = value if low is None else low, value if high is None else high
    kind = "pass" if item.flag("passed") else "fail"
    mark = element("b", "✓ PASS" if kind == "pass" else "✗ FAIL", class_=kind)
    verdict = element("span", mark, f" {item.text('note')}" if item.text("note") else None)
    ends = f"{quantity(name, low)} to {quantity(name, high)}" if low < high else "counted: exact"
    about = f"{quantity(name, value)}, {ends}, against at most {quantity(name, limit)}"
    plot = interval.draw(value, min(low, value), max(high, value), limit, about)
    return [
        budget(item.text("budget")),
        verdict,
        quantity(name, value),
        ends,
        f"≤ {quantity(name, limit)}",
        plot,
    ]


def _latencies(run: RunData) -> Markup | None:
    rows = []
    for item in run.summary.objects("latency"):
        median, samples, machine = (
            item.number("median_ms"),
            item.number("samples"),
            item.object("fingerprint"),
        )
        threads = machine.number("threads")
        on = ", ".join(
            part
            for part in (
                item.text("device"),
                machine.text("accelerator") or machine.text("processor"),
                "" if threads is None else f"{threads:.0f} thread{'s' if threads != 1 else ''}",
            )
            if part
        )
        what = {"onnxruntime": "model.onnx in ONNX Runtime", "eager": "the network in PyTorch"}
        shown = "" if median is None else milliseconds(median)
        spread, certain = _spread(item), _spread(item, "low_ms", "high_ms")
        of = "" if samples is None else f"{samples:,.0f}"
        rows.append(
            [what.get(item.text("backend"), item.text("backend")), shown, certain, spread, of, on]
        )
    if not rows:
        return None
    head = ("latency of one image", "median", "95 % interval", "p10 to p90", "runs", "measured on")
    alone = (
        ", measured by itself, not at the moment of the verdicts"
        if run.summary.objects("budgets")
        else ""
    )
    return table(f"Latency{alone}", head, rows, (1, 2, 3, 4))
