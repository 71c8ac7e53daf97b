"""What was asked of a run, and whether it holds: budgets, accuracy, size, latency."""

from __future__ import annotations

from unas.common.text import readable_count, readable_number
from unas.report import costs, interval
from unas.report.fields import Fields
from unas.report.figures import budget, if_known, milliseconds, percent, plural, whole
from unas.report.markup import Markup, element
from unas.report.parts import missing, section, table, tile, tiles
from unas.report.run_data import RunData
from unas.report.stage import next_step

_LARGE = 1e4  # multiply-adds from which the tile has them in short
_RUNS = {"onnxruntime": "model.onnx in ONNX Runtime", "eager": "the network in PyTorch"}


def draw(run: RunData, level: int) -> Markup:
    """Return the section."""
    unfinished = None if run.is_finished else missing(next_step(run))
    blocks = (headline(run), unfinished, _tiles(run), _budgets(run), _latencies(run))
    return section("Verdict", level, *blocks)


def verdict_of(run: RunData) -> tuple[str, str]:
    """Return ("pass", "fail" or "none", what is said about the budgets in one line)."""
    verdicts = run.summary.objects("budgets")
    if not verdicts:
        asked = costs.asked(run.config)
        if not asked:
            return "none", "no budget was set"
        return "none", f"no verdict yet on {', '.join(map(budget, asked))}"
    early = "" if run.is_finished else ", as the untrained network was measured"
    failed = [budget(item.text("budget")) for item in verdicts if not item.flag("passed")]
    if failed:
        count = f"{len(failed)} of {len(verdicts)} budgets not met"
        return "fail", f"FAIL: {count} ({', '.join(failed)}){early}"
    all_of_them = {1: "the budget is", 2: "both budgets are"}
    says = all_of_them.get(len(verdicts), f"all {len(verdicts)} budgets are")
    return "pass", f"PASS: {says} met{early}"


def headline(run: RunData) -> Markup:
    """Return the verdict on all budgets together; a sign says it as well as the colour."""
    kind, says = verdict_of(run)
    sign = {"pass": "✓ ", "fail": "✗ ", "none": ""}[kind]
    return element("p", f"{sign}{says[0].upper()}{says[1:]}", class_=f"verdict {kind}")


def exported(run: RunData) -> Fields | None:
    """Return the latency of the exported file, the first that a run measures; None before."""
    latencies = run.summary.objects("latency")
    for latency in latencies:
        if latency.text("backend") == "onnxruntime":
            return latency
    return latencies[0] if latencies else None


def _tiles(run: RunData) -> Markup | None:
    drawn = [_accuracy_tile(run), *_size_tiles(run), _latency_tile(run)]
    shown = [markup for markup in drawn if markup is not None]
    return tiles(shown) if shown else None


def _accuracy_tile(run: RunData) -> Markup | None:
    accuracy = run.summary.number("test_accuracy")
    if accuracy is not None:
        loss = run.summary.number("test_loss")
        says = "" if loss is None else f"loss {loss:.4g} nats on the test images"
        return tile("Test accuracy", percent(accuracy), says)
    validation = run.summary.number("validation_accuracy")
    if validation is None:
        return None
    says = "in the supernet: ranks, and says little more"
    return tile("Validation accuracy", percent(validation), says)


def _size_tiles(run: RunData) -> list[Markup | None]:
    drawn: list[Markup | None] = []
    parameters = run.summary.number("parameters")
    if parameters is not None:
        drawn.append(tile("Parameters", readable_count(parameters), "without the auxiliary head"))
    macs = run.summary.number("macs")
    if macs is not None:
        shown = readable_number(macs) if macs >= _LARGE else readable_count(macs)
        drawn.append(tile("Multiply-adds", shown, f"{macs:,.0f} for one image"))
    return drawn


def _latency_tile(run: RunData) -> Markup | None:
    latency = exported(run)
    median = None if latency is None else latency.number("median_ms")
    if latency is None or median is None:
        return None
    where = f"{latency.text('backend')} on {latency.text('device')}"
    return tile("Latency", milliseconds(median), f"p10 to p90 {_spread(latency)}; {where}")


def _spread(latency: Fields, low: str = "p10", high: str = "p90") -> str:
    low_ms = latency.number(low)
    high_ms = latency.number(high)
    if low_ms is None or high_ms is None:
        return ""
    return f"{low_ms:.4g} to {milliseconds(high_ms)}"


def _budgets(run: RunData) -> Markup | None:
    rows = []
    for verdict in run.summary.objects("budgets"):
        row = _budget(verdict)
        if row is not None:
            rows.append(row)
    if not rows:
        return None
    head = ("budget", "verdict", "value", "95 % interval", "limit", "from 0 to beyond the limit")
    title = "Budgets: a network passes if the whole interval is within the limit"
    return table(title, head, rows, (2, 3, 4))


def _budget(item: Fields) -> list[str] | None:
    value = item.number("value")
    limit = item.number("limit")
    if value is None or limit is None:
        return None
    low = item.number("low")
    low = value if low is None else low
    high = item.number("high")
    high = value if high is None else high

    def shown(figure: float) -> str:
        return costs.quantity(item.text("quantity"), figure, item.text("unit"))

    ends = f"{shown(low)} to {shown(high)}" if low < high else "counted: exact"
    about = f"{shown(value)}, {ends}, against at most {shown(limit)}"
    plot = interval.draw(value, min(low, value), max(high, value), limit, about)
    if item.flag("passed"):
        mark = element("b", "✓ PASS", class_="pass")
    else:
        mark = element("b", "✗ FAIL", class_="fail")
    note = f" {item.text('note')}" if item.text("note") else None
    verdict = element("span", mark, note)
    name = budget(item.text("budget"))
    return [name, verdict, shown(value), ends, f"≤ {shown(limit)}", plot]


def _latencies(run: RunData) -> Markup | None:
    rows = []
    for latency in run.summary.objects("latency"):
        backend = latency.text("backend")
        rows.append(
            [
                _RUNS.get(backend, backend),
                if_known(latency.number("median_ms"), milliseconds),
                _spread(latency, "low_ms", "high_ms"),
                _spread(latency),
                if_known(latency.number("samples"), whole),
                _machine(latency),
            ]
        )
    if not rows:
        return None
    head = ("latency of one image", "median", "95 % interval", "p10 to p90", "runs", "measured on")
    title = "Latency"
    if run.summary.objects("budgets"):
        title += ", measured by itself, not at the moment of the verdicts"
    return table(title, head, rows, (1, 2, 3, 4))


def _machine(latency: Fields) -> str:
    fingerprint = latency.object("fingerprint")
    processor = fingerprint.text("accelerator") or fingerprint.text("processor")
    words = [latency.text("device"), processor]
    threads = fingerprint.number("threads")
    if threads is not None:
        words.append(plural(threads, "thread"))
    return ", ".join(word for word in words if word)
