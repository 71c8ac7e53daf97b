"""A picture of a comparison: best so far and rank against queries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unas.lab._figure import COLOURS, DASHES, MARKERS, grid, new_figure, save_figure


def write_plot(comparisons: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write one row of two plots a comparison: mean over seeds with a band of one standard error.

    Args:
        comparisons: by title, each as `Comparison.to_json` returns it.
        path: the picture, a PNG or another format that its ending names.

    Raises:
        UserError: matplotlib isn't installed, or the file can't be written.
    """
    figure = new_figure(11, 4.2 * len(comparisons))
    rows = np.atleast_1d(figure.subfigures(len(comparisons), 1))
    for row, (title, comparison) in zip(rows, comparisons.items(), strict=True):
        seeds = len(next(iter(comparison["methods"].values()))["queries_made"])
        architectures = comparison["architectures"]
        row.suptitle(
            f"{title} ({architectures:,} architectures; mean ± standard error of {seeds} seeds)",
            fontsize=11,
        )
        left, right = row.subplots(1, 2)
        _draw(left, comparison["methods"], "best")
        left.set(ylabel=f"best {comparison['metric']} so far")
        _zoom(left, comparison["methods"])
        _draw(right, comparison["methods"], "rank_percent")
        right.set(ylabel=f"rank by {comparison['report']} (% of all)", yscale="log")
        right.legend(fontsize="small", handlelength=4)
    save_figure(figure, path)


def _draw(axis: Any, methods: Mapping[str, Any], curve: str) -> None:
    """Draw the mean of each method and a band of one standard error."""
    for i, (name, found) in enumerate(methods.items()):
        dash, marker, colour = (looks[i % len(looks)] for looks in (DASHES, MARKERS, COLOURS))
        mean, error = (np.array(found[curve][part]) for part in ("mean", "standard_error"))
        queries = np.arange(1, len(mean) + 1)
        every = max(1, len(mean) // 8)
        start = min(
            len(mean) - 1, i * every // len(methods)
        )  # markers of two methods don't coincide
        look = {
            "linestyle": dash,
            "color": colour,
            "marker": marker,
            "markersize": 5,
            "markevery": (start, every),
        }
        axis.plot(queries, mean, label=name, **look)
        low = (
            np.maximum(mean - error, mean / 10) if curve == "rank_percent" else mean - error
        )  # its axis has no 0
        axis.fill_between(queries, low, mean + error, color=colour, alpha=0.15, linewidth=0)
    axis.set_xlabel("queries (different architectures asked for)")
    grid(axis)


def _zoom(axis: Any, methods: Mapping[str, Any]) -> None:
    """Leave out the first few queries, which would press what matters into a corner."""
    means = np.array([found["best"]["mean"] for found in methods.values()])
    shown = means[:, min(means.shape[1] - 1, max(3, means.shape[1] // 20)) :]
    margin = 0.05 * (shown.max() - shown.min()) or 1e-9
    axis.set_ylim(shown.min() - margin, shown.max() + margin)
