"""A picture of a comparison: best so far and rank against queries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unas.errors import UserError
from unas.files import replacing
from unas.lab.comparison import Comparison, summary

# Told apart by dash and marker, so that a grey print keeps them apart too; the greys differ as well.
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
MARKERS: tuple[Any, ...] = ("o", "s", "^", "D", "v", "P", "X", "*")
COLOURS: tuple[Any, ...] = ("#000000", "#0a5fa5", "#b2431f", "#5b8c2a", "#8a4fa3", "#7f7f7f", "#c98a00")


def write_plot(comparisons: Mapping[str, Comparison], path: Path) -> None:
    """Write one row of two plots a comparison: mean over seeds with a band of one standard error.

    Args:
        comparisons: by title.
        path: the picture, a PNG or another format that its ending names.

    Raises:
        UserError: matplotlib isn't installed, or the file can't be written.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("plots need matplotlib, which isn't installed; pip install 'unas[lab]'") from error
    figure = Figure(figsize=(11, 4.2 * len(comparisons)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(comparisons), 2, squeeze=False)
    for row, (title, comparison) in zip(axes, comparisons.items(), strict=True):
        seeds = len(next(iter(comparison.found.values())).queries_made)
        figure_title = f"{title}: {len(comparison.table):,} architectures, {seeds} seeds"
        _draw(row[0], comparison, "value")
        row[0].set(title=figure_title, ylabel=f"best {comparison.metric} so far")
        _draw(row[1], comparison, "rank")
        row[1].set(title="mean ± standard error", ylabel=f"rank by {comparison.report} (% of all)", yscale="log")
        row[1].legend(fontsize="small", handlelength=4)
    with replacing(path) as temporary, temporary.open("wb") as file:
        figure.savefig(file, format=path.suffix.lstrip(".") or "png", dpi=130)


def _draw(axis: Any, comparison: Comparison, curve: str) -> None:
    """Draw the mean of each method and a band of one standard error."""
    for i, (name, found) in enumerate(comparison.found.items()):
        dash, marker, colour = (looks[i % len(looks)] for looks in (DASHES, MARKERS, COLOURS))
        mean, error = (np.array(values) for values in summary(getattr(found, curve)))
        queries = np.arange(1, len(mean) + 1)
        every = max(1, len(mean) // 8)
        start = min(len(mean) - 1, i * every // max(1, len(comparison.found)))  # markers of two methods don't coincide
        axis.plot(
            queries,
            mean,
            linestyle=dash,
            color=colour,
            marker=marker,
            markevery=(start, every),
            markersize=5,
            label=name,
        )
        low = np.maximum(mean - error, getattr(found, curve).min())
        axis.fill_between(queries, low, mean + error, color=colour, alpha=0.15, linewidth=0)
    axis.set_xlabel("queries (different architectures asked for)")
    axis.grid(visible=True, which="major", linewidth=0.4, alpha=0.6)
    if curve == "value":
        _zoom(axis, comparison)


def _zoom(axis: Any, comparison: Comparison) -> None:
    """Leave out the first few queries' values, which would press all that matters into a corner."""
    means = [np.array(summary(found.value)[0]) for found in comparison.found.values()]
    after = min(len(means[0]) - 1, max(3, len(means[0]) // 20))
    shown = np.concatenate([mean[after:] for mean in means])
    margin = 0.05 * (shown.max() - shown.min()) or 1e-9
    axis.set_ylim(shown.min() - margin, shown.max() + margin)
