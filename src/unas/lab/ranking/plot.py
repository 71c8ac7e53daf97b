"""A picture of ranks over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unas.lab._figure import COLOURS, DASHES, MARKERS, grid, new_figure, save_figure
from unas.lab.ranking.outcomes import Outcome

Array = NDArray[np.float64]


def write_plot(outcomes: Sequence[Outcome], architectures: int, path: Path) -> None:
    """Draw the rank of what each method would have answered against its time, mean over seeds.

    Args:
        outcomes: of all methods and seeds.
        architectures: how many the table has.
        path: the picture, a PNG or another format that its ending names.

    Raises:
        UserError: matplotlib isn't installed, or the file can't be written.
    """
    figure = new_figure(9, 5.5)
    axis = figure.subplots()
    methods = list(dict.fromkeys(measured.method for measured in outcomes))
    for number, method in enumerate(methods):
        runs = [measured for measured in outcomes if measured.method == method]
        if not all(run.moments for run in runs):
            continue
        seconds, ranks = mean_rank(runs)
        axis.step(
            seconds / 60,
            ranks,
            where="post",
            label=f"{method} ({len(runs)})",
            color=COLOURS[number % len(COLOURS)],
            linestyle=DASHES[number % len(DASHES)],
            marker=MARKERS[number % len(MARKERS)],
            markersize=4,
        )
    grid(axis)
    axis.set_yscale("log")
    axis.set_ylim(0.8, 1.3 * architectures)
    axis.set_xlabel("minutes")
    axis.set_ylabel(f"rank in the table (1 is the best of {architectures:,})")
    figure.suptitle("Rank of what each method would answer; mean over its seeds", fontsize=11)
    axis.legend(fontsize="small", handlelength=4)
    save_figure(figure, path)


def mean_rank(runs: Sequence[Outcome]) -> tuple[Array, Array]:
    """Return times and, at each, the mean over runs of the newest rank.

    The first time is when every run has one.
    """
    curves = []
    for run in runs:
        # Choosing may change the last answer.
        times = np.array([*(moment["seconds"] for moment in run.moments), run.seconds])
        ranks = np.array([*(moment["rank"] for moment in run.moments), run.rank])
        curves.append((times, ranks))
    begin = max(times[0] for times, _ in curves)
    grid_seconds = np.unique(np.concatenate([times for times, _ in curves]))
    grid_seconds = grid_seconds[grid_seconds >= begin]
    newest = []
    for times, ranks in curves:
        newest.append(ranks[np.searchsorted(times, grid_seconds, "right") - 1])
    return grid_seconds, np.mean(newest, axis=0)
