"""What commands print: short tables on standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from unas.common.text import printable, readable_size, readable_time
from unas.drawing import cell_lines
from unas.drawing.console import ResultConsole
from unas.runs.names import REPORT

if TYPE_CHECKING:
    from unas.config import Config
    from unas.pipeline import Result

_OF_A_RUN = (
    "test_accuracy",
    "parameters",
    "macs",
    "network_width",
    "latency",
    "onnx_max_difference",
    "validation_accuracy",
    "alarms",
)
_UNLESS_ZERO = ("skipped_search_updates", "skipped_training_updates")
_UNITS: dict[str, Callable[[Any], str]] = {  # by a part of the figure's name
    "accuracy": lambda share: f"{100 * share:.2f} %",
    "_bytes": readable_size,
    "seconds": lambda seconds: readable_time(seconds) if seconds >= 60 else f"{seconds:.3g} s",
    "difference": lambda number: f"{number:.1e}",
    "_ms": lambda milliseconds: f"{milliseconds:.3g} ms",
}
_LABELS = {
    "validation_accuracy": "validation accuracy in the supernet",
    "macs": "multiply-adds",
    "network_width": "width",
    "onnx_max_difference": "ONNX difference",
    "policy_entropy": "policy entropy (nats)",
}


def print_result(result: Result) -> None:
    """Print what a run found and where it is."""
    rows = []
    for name, text in cell_lines(result.genotype):
        rows.append((f"found: {name}" if name else "found", text))
    summary = {name: result.summary[name] for name in _OF_A_RUN if name in result.summary}
    summary |= {name: result.summary[name] for name in _UNLESS_ZERO if result.summary.get(name)}
    rows += _rows(summary)
    rows.append(("run directory", str(result.directory)))
    if (result.directory / REPORT).is_file():
        rows.append(("report", str(result.directory / REPORT)))
    print_rows(rows)
    _print_verdicts(result.summary)


def print_figures(figures: Mapping[str, Any], title: str) -> None:
    """Print figures of a run by name."""
    plain = {name: value for name, value in figures.items() if name != "budgets"}
    print_rows([*_rows(plain), ("run directory", title)])
    _print_verdicts(figures)


def print_dry_run(config: Config, verb: str) -> None:
    """Print the resolved configuration as JSON, then the preflight as a table."""
    from unas.config.document import config_to_json
    from unas.pipeline.preflight import preflight

    sys.stdout.write(printable(config_to_json(config), keep="\n"))
    print_rows(_rows(preflight(config, verb)))


def print_rows(rows: Iterable[tuple[str, str]]) -> None:
    """Print a table of two columns."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in rows:
        # As `Text`, because a path may hold square brackets, which are rich's markup.
        table.add_row(Text(printable(label)), Text(printable(text)))
    print_table(table)


def print_table(table: Table) -> None:
    """Print a table as wide as the terminal, or as it needs to be where there is none.

    Raises:
        BrokenPipeError: whoever reads it has gone.
    """
    ResultConsole().print(table)


def _print_verdicts(figures: Mapping[str, Any]) -> None:
    for verdict in figures.get("budgets", ()):
        print(printable(str(verdict["line"])))


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
    spread = (
        f"{item['p10']:.3g} to {item['p90']:.3g} from the 10th to the 90th percentile of "
        f"{item['samples']}"
    )
    median = f"{item['median_ms']:.3g} ms on {item['device']}"
    return f"latency: {item['backend']}", f"{median} ({spread})"


def _figure(key: str, value: Any) -> str:
    """Return a figure with the unit that its name says."""
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    for part, show in _UNITS.items():
        if part in key:
            return show(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
