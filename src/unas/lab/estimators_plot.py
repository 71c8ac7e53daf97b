"""A picture of gradient estimators: bias and variance on every problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unas.lab._figure import COLOURS, MARKERS, grid, new_figure, save_figure

TELLING = 4.0  # standard errors


def write_plot(result: Mapping[str, Any], path: Path) -> None:
    """Write two panels, bias above and variance below: a column a problem, a marker an estimator.

    Args:
        result: what `lab_estimators` has measured.
        path: the picture, a PNG or another format that its ending names.

    Raises:
        UserError: matplotlib isn't installed, or the file can't be written.
    """
    rows = result["rows"]
    problems = list(dict.fromkeys(row["problem"] for row in rows))
    names = list(dict.fromkeys(row["estimator"] for row in rows))
    figure = new_figure(max(7.0, 3.0 + 1.1 * len(problems)), 8.5)
    bias, variance = figure.subplots(2, 1, sharex=True)
    for i, name in enumerate(names):
        rows_of_name = [row for row in rows if row["estimator"] == name]
        offset = (i + 1) / (len(names) + 1) - 0.5
        at = [problems.index(row["problem"]) + offset for row in rows_of_name]
        _draw(bias, at, rows_of_name, ("bias_rms", "bias_rms", "bias_max"), i)
        _draw(variance, at, rows_of_name, ("ratio", "ratio_low", "ratio_high"), i)
    _finish_bias(bias)
    _finish_variance(variance)
    for axis in (bias, variance):
        _shade_columns(axis, len(problems))
    variance.set_xticks(range(len(problems)), problems)
    variance.set_xlabel("problem with a known gradient")
    of = f"{result['calls']} calls of {result['architectures_per_call']} architectures"
    figure.suptitle(f"Gradient estimates against enumeration, {of}", fontsize=11)
    handles, labels = variance.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(5, len(names)),
        fontsize="small",
        frameon=False,
    )
    save_figure(figure, path)


def _shade_columns(axis: Any, count: int) -> None:
    """Draw horizontal lines, and shade every other column."""
    grid(axis, "y")
    for column in range(1, count, 2):
        axis.axvspan(column - 0.5, column + 0.5, color="#f0f0f0", zorder=-2, linewidth=0)
    axis.set_xlim(-0.5, count - 0.5)


def _draw(
    axis: Any,
    at: Sequence[float],
    rows: Sequence[Mapping[str, Any]],
    fields: tuple[str, str, str],
    i: int,
) -> None:
    """Draw an estimator's markers, hollow if it is biased.

    Args:
        axis: the panel.
        at: the markers' places.
        rows: the estimator's rows, one a problem.
        fields: of a row: the marker's height, and where its line begins and ends.
        i: the estimator's number.
    """
    colour, is_unbiased = COLOURS[i % len(COLOURS)], rows[0]["is_unbiased"]
    value, low, high = ([row[field] for row in rows] for field in fields)
    axis.vlines(at, low, high, color=colour, linewidth=1.0)
    axis.plot(
        at,
        value,
        linestyle="",
        marker=MARKERS[i % len(MARKERS)],
        color=colour,
        markerfacecolor=colour if is_unbiased else "white",
        markersize=6,
        label=rows[0]["estimator"] + ("" if is_unbiased else " (biased)"),
    )


def _finish_bias(axis: Any) -> None:
    axis.set_yscale("symlog", linthresh=1.0, linscale=0.6)
    top = max(2 * TELLING, 1.3 * axis.get_ylim()[1])
    axis.set_ylim(-0.08, top)  # a marker at 0 is seen whole
    ticks = (0, 0.5, 1, 2, 4, 10, 20, 50, 100, 200, 500)
    axis.set_yticks([tick for tick in ticks if tick < top])
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.axhline(1, color="black", linewidth=0.8, linestyle="--", zorder=-1)
    axis.axhspan(
        TELLING, top, facecolor="none", edgecolor="#cccccc", hatch="///", linewidth=0, zorder=-1
    )
    axis.set_ylabel("bias, RMS over logits\n(standard errors; line: to the largest logit)")
    axis.set_title(
        "dashed: expected of an unbiased estimator; "
        f"hatched: more than {TELLING:g} standard errors",
        fontsize=9,
    )


def _finish_variance(axis: Any) -> None:
    axis.set_yscale("log")
    axis.axhline(1, color="black", linewidth=0.8, linestyle="--", zorder=-1)
    axis.set_ylabel("variance ÷ variance of reinforce\n(line: 95 % interval)")
    axis.set_title("dashed: as reinforce; below is better", fontsize=9)
