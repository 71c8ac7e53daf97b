"""What commands print: short tables on standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unas.common.text import printable, readable_size, readable_time
from unas.config import Config
from unas.config.document import config_to_json
from unas.drawing import cell_lines
from unas.runs.names import REPORT

if TYPE_CHECKING:
    from unas.pipeline import Result

_FOUND = (
    "test_accuracy",
    "parameters",
    "macs",
    "latency",
    "onnx_max_difference",
    "validation_accuracy",
    "alarms",
)
_IF_ANY = ("skipped_search_updates", "skipped_training_updates")
_LABELS = {
    "validation_accuracy": "validation accuracy in the supernet",
    "macs": "multiply-adds",
    "onnx_max_difference": "ONNX difference",
    "policy_entropy": "policy entropy (nats)",
}


def print_result(result: Result) -> None:
    """Print what a run found and where it is."""
    summary = {key: result.summary[key] for key in _FOUND if key in result.summary}
    summary |= {key: result.summary[key] for key in _IF_ANY if result.summary.get(key)}
    found = [
        (f"found: {name}" if name else "found", text) for name, text in cell_lines(result.genotype)
    ]
    report = result.directory / REPORT
    drawn = [("report", str(report))] if report.is_file() else []
    print_rows([*found, *_rows(summary), ("run directory", str(result.directory)), *drawn])
    for verdict in result.summary.get("budgets", ()):
        print(printable(str(verdict["line"])))


def print_figures(figures: Mapping[str, Any], title: str) -> None:
    """Print figures of a run by name."""
    print_rows(
        [*_rows({k: v for k, v in figures.items() if k != "budgets"}), ("run directory", title)]
    )
    for verdict in figures.get("budgets", ()):
        print(printable(str(verdict["line"])))


def print_dry_run(config: Config) -> None:
    """Print the resolved configuration as JSON, then the preflight as a table."""
    from unas.pipeline.preflight import preflight

    sys.stdout.write(printable(config_to_json(config), keep="\n"))
    print_rows([*_rows(preflight(config))])


def print_rows(rows: list[tuple[str, str]]) -> None:
    """Print a table of two columns."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in rows:
        table.add_row(
            Text(printable(label)), Text(printable(text))
        )  # Text: a path may hold square brackets
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console.width = 200  # a file has no edge to wrap at
    console.print(table)


def _rows(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in figures.items():
        label = prefix + _LABELS.get(key, key.replace("_", " "))
        label = label.replace(" seconds", " time").removesuffix(" bytes")  # the figure has its unit
        if key == "latency" and isinstance(value, list):
            yield from (_latency(item) for item in value)
        elif isinstance(value, Mapping):
            yield from _rows(value, f"{label}: ")
        elif value is not None:
            yield label, _figure(key, value)


def _latency(item: Mapping[str, Any]) -> tuple[str, str]:
    spread = f"{item['p10']:.3g} to {item['p90']:.3g} from the 10th to the 90th percentile of {item['samples']}"
    return (
        f"latency: {item['backend']}",
        f"{item['median_ms']:.3g} ms on {item['device']} ({spread})",
    )


def _figure(key: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    for part, show in _UNITS.items():
        if part in key:
            return str(show(value))
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


_UNITS: dict[str, Any] = {
    "accuracy": lambda value: f"{100 * value:.2f} %",
    "_bytes": readable_size,
    "seconds": lambda value: readable_time(value) if value >= 60 else f"{value:.3g} s",
    "difference": lambda value: f"{value:.1e}",
    "_ms": lambda value: f"{value:.3g} ms",
}
