"""A picture of found cells among random ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unas.lab._figure import COLOURS, MARKERS, grid, new_figure, save_figure

RANDOM = "#9a9a9a"


def write_plot(report: Mapping[str, Any], path: Path) -> None:
    """Write all cells in order of their mean accuracy: random ones hollow, others filled.

    Args:
        report: what `quality` has measured.
        path: the picture, a PNG or another format that its ending names.

    Raises:
        UserError: matplotlib isn't installed, or the file can't be written.
    """
    accuracies = {
        label: 100 * np.array(values) for label, values in report["test_accuracy"].items()
    }
    order = sorted(accuracies, key=lambda label: float(accuracies[label].mean()))
    place = {label: n + 1 for n, label in enumerate(order)}
    searched = list(report["percentile"])
    figure = new_figure(9, 5.5)
    axis = figure.subplots()
    others = {place[label]: accuracies[label] for label in order if label not in searched}
    _draw(axis, others, (RANDOM, MARKERS[0]), "random")
    median = 100 * report["random_median"]
    axis.axhline(
        median,
        color="black",
        linewidth=0.9,
        linestyle="--",
        label=f"median of the random, {median:.2f} %",
    )
    for i, label in enumerate(searched):
        look = (
            COLOURS[i % len(COLOURS)],
            MARKERS[(i + 1) % len(MARKERS)],
        )  # the first marker is the random cells'
        says = _says(label, accuracies[label].mean(), report["percentile"][label])
        _draw(axis, {place[label]: accuracies[label]}, look, says)
    grid(axis, "y")
    axis.set_xlabel("cells in order of their mean test accuracy, the worst first")
    axis.set_ylabel("test accuracy (%)")
    axis.set_xlim(0.3, len(order) + 0.7)
    axis.xaxis.get_major_locator().set_params(integer=True)
    cells, seeds, trainings = report["cells"], report["seeds"], report["trainings"]
    counts = f"searches: {seeds}, trainings of a random cell: {trainings}"
    figure.suptitle(
        f"Found cells among {cells} random ones of the same space ({counts})", fontsize=11
    )
    figure.legend(loc="outside lower center", ncols=1, fontsize="small", frameon=False)
    save_figure(figure, path)


def _draw(axis: Any, cells: Mapping[int, Any], look: tuple[str, str], label: str) -> None:
    """Draw each cell's mean, a line from its worst seed to its best, and a dot a seed."""
    colour, marker = look
    is_random = colour == RANDOM
    for x, values in cells.items():
        if len(values) > 1:
            axis.plot(
                [x] * len(values), values, marker=".", markersize=3.5, linewidth=1.0, color=colour
            )
    axis.plot(
        list(cells),
        [values.mean() for values in cells.values()],
        linestyle="",
        marker=marker,
        markersize=6 if is_random else 9,
        color=colour,
        markerfacecolor="white" if is_random else colour,
        markeredgecolor=colour if is_random else "black",
        label=label,
    )


def _says(label: str, mean: float, place: Mapping[str, Any]) -> str:
    interval = f"{100 * place['low']:.0f} to {100 * place['high']:.0f} %"
    above = f"above {100 * place['value']:.0f} % of the random"
    return f"{label}: {mean:.2f} %, {above} (95 % interval: {interval})"
