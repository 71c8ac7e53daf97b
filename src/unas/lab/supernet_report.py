"""`unas lab estimators RECIPE`: gradient estimates on the recipe's supernet, as files."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from unas.common.documents import write_json
from unas.common.files import make_directory, write_text
from unas.compute.hardware import cpu_name
from unas.config import Config
from unas.lab._figure import COLOURS, MARKERS, grid, new_figure, plotted, save_figure
from unas.lab.estimators import named_estimators
from unas.lab.supernet_gradients import supernet_gradients

CALLS = 300
NOTES = """
**Variance**: trace of the covariance of one call's gradient, over batches and noise; **÷
{reference}** with its 95 % interval (bootstrap over calls). **Estimate**, **step**: median time of
one gradient of the policy, and of that and the weights' gradient after it, which is a step of the
search but for Adam. **Step ÷ {reference}**: median over turns. **At equal time**: one ratio times
the other, the variance that remains when {reference} gets as much time.

![Variance and variance at equal time](estimators.png)
"""


def lab_supernet(
    config: Config,
    estimators: Sequence[str] = (),
    *,
    calls: int = CALLS,
    out: Path = Path("lab"),
    command: str = "",
    quiet: bool = False,
) -> dict[str, Any]:
    """Measure variance and time of estimators on a trained supernet.

    Write estimators.json, .md and, if it can, .png.

    Args:
        config: the recipe whose search trains the supernet.
        estimators: names as of `lab_estimators`; all by default.
        calls: of each estimator.
        out: the directory to write to, and for the search's run.
        command: what made it, for the table's head.
        quiet: show no progress.

    Returns:
        what estimators.json holds, with `plot`, the picture's path, or None, and then
        `plot_missing` says why.
    """
    cases = named_estimators(estimators)
    make_directory(out)
    rows = supernet_gradients(config, cases, out, calls=calls, quiet=quiet)
    threads = config.runtime.threads or torch.get_num_threads()
    result: dict[str, Any] = {
        "command": command,
        "hardware": f"{cpu_name()}, {threads} threads, device {config.runtime.device}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "calls": calls,
        "batch_size": config.search.batch_size,
        "architectures": config.search.num_architectures(config.search.batch_size),
        "seed": config.seed,
        "rows": [asdict(row) for row in rows],
    }
    write_json(out / "estimators.json", result)
    write_text(out / "estimators.md", markdown(result))
    return result | plotted(lambda path: write_plot(result, path), out / "estimators.png")


def markdown(result: Mapping[str, Any]) -> str:
    """Return head, notes and table of what `lab_supernet` has measured."""
    versions = result["versions"]
    rows = result["rows"]
    reference = rows[0]["estimator"]
    columns = (
        "estimator", "unbiased", "variance", f"÷ {reference} (95 %)", "estimate, ms", "step, ms",
        f"step ÷ {reference}", "at equal time",
    )  # fmt: skip
    lines = [
        "# Gradient estimators on a trained supernet",
        "",
        f"{result['hardware']}; Python {versions['python']}, PyTorch {versions['torch']}; "
        f"{result['calls']} calls, batches of {result['batch_size']} images shared out to "
        f"{result['architectures']} architectures, seed {result['seed']}.",
        "",
        f"Command: `{result['command']}`",
        NOTES.format(reference=reference),
        _line(columns),
        _line(("---", "---", *["---:"] * 6)),
    ]
    lines += [_line(_cells(row)) for row in rows]
    return "\n".join(lines) + "\n"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["estimator"],
        "yes" if row["is_unbiased"] else "no",
        f"{row['variance']:.4g}",
        f"{row['ratio']:.3f} ({row['ratio_low']:.3f} to {row['ratio_high']:.3f})",
        f"{row['estimate_ms']:.0f}",
        f"{row['step_ms']:.0f}",
        f"{row['step_ratio']:.2f}",
        f"{row['at_equal_time']:.3f}",
    )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def write_plot(result: Mapping[str, Any], path: Path) -> None:
    """Write one line an estimator: its variance with the interval, and the variance at equal time.

    Raises:
        UserError: matplotlib isn't installed, or the file can't be written.
    """
    rows = result["rows"]
    figure = new_figure(7.5, 1.6 + 0.36 * len(rows))
    axis = figure.subplots()
    at = range(len(rows))
    low, high = _column(rows, "ratio_low"), _column(rows, "ratio_high")
    axis.hlines(at, low, high, color=COLOURS[0])
    label = "a call (line: 95 % interval)"
    axis.plot(_column(rows, "ratio"), at, MARKERS[0], color=COLOURS[0], label=label)
    hollow = {"color": "black", "markerfacecolor": "white"}
    label = "at equal time of a search step"
    axis.plot(_column(rows, "at_equal_time"), at, MARKERS[1], label=label, **hollow)
    axis.axvline(1, color="black", linewidth=0.8, linestyle="--", zorder=-1)
    axis.set_xscale("log")
    axis.set_yticks(at, [_label(row) for row in rows])
    axis.invert_yaxis()
    axis.set_xlabel(f"variance ÷ variance of {rows[0]['estimator']} (left is better)")
    grid(axis, "x")
    figure.legend(loc="outside lower center", ncols=2, fontsize="small", frameon=False)
    save_figure(figure, path)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [row[name] for row in rows]


def _label(row: Mapping[str, Any]) -> str:
    name: str = row["estimator"]
    return name if row["is_unbiased"] else f"{name} (biased)"
