"""A row for each method: means over seeds with their standard errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unas.common.text import readable_time
from unas.lab.ranking.agreement import ALL, BEST_TENTH
from unas.lab.ranking.methods import TRAINING_SHARE, RankingPlan
from unas.lab.ranking.outcomes import Outcome
from unas.lab.ranking.rivals import SEARCH

MODE = "search: the policy's mode"

_COLUMNS = (
    "method",
    "n",
    "accuracy",
    "rank",
    "percentile",
    "τ, all",
    "τ, best tenth",
    "seconds",
    "parts",
    "note",
)
_NOTES = """
**Accuracy** (`{metric}`), **rank** (1 is the best of {architectures:,}) and **percentile** (the
share of the other architectures that are worse) are those of the table {table}, of what a method
ended with. **τ** is Kendall's τ-b between minus the validation loss in the method's supernet on
{images} images and the table, over {sample} architectures drawn from all and as many from the best
tenth; its time is not counted. ± is the standard error over seeds. Rivals stop after {times:g}
times the seconds of the search with the same seed: `random` trains networks from scratch for
{rival_epochs} epochs and keeps the best by validation; `evolution` trains a supernet by uniform
sampling for {share:.0f} % of the time and evolves in the rest; of the others the policy's mode
counts.

![Rank over time](ranking.png)
"""


def summaries(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """Return the figures of each method; the mode of the search's policy is a row of its own."""
    by_method: dict[str, list[Outcome]] = {}
    for measured in outcomes:
        by_method.setdefault(measured.method, []).append(measured)
    rows: dict[str, dict[str, Any]] = {}
    for method, runs in by_method.items():
        rows[method] = _row(runs)
        if method == SEARCH:
            modes = [run.moments[-1] for run in runs]
            rows[MODE] = {"seeds": len(runs)}
            for name in ("accuracy", "rank", "percentile"):
                rows[MODE][name] = mean_and_error([mode[name] for mode in modes])
            rows[MODE]["seconds"] = mean_and_error([mode["seconds"] for mode in modes])
    return rows


def mean_and_error(values: Sequence[float]) -> dict[str, float | None]:
    """Return the mean and its standard error, which one value alone hasn't."""
    error = None
    if len(values) > 1:
        error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return {"mean": float(np.mean(values)), "standard_error": error}


def _row(runs: Sequence[Outcome]) -> dict[str, Any]:
    row: dict[str, Any] = {"seeds": len(runs)}
    for name in ("accuracy", "rank", "percentile", "seconds"):
        row[name] = mean_and_error([getattr(run, name) for run in runs])
    taus: dict[str, Any] = {}
    for sample in (ALL, BEST_TENTH):
        known = [run.tau[sample] for run in runs if run.tau and run.tau[sample] is not None]
        if known:
            taus[sample] = mean_and_error(known)
    row["tau"] = taus
    names = dict.fromkeys(name for run in runs for name in run.parts)
    row["parts"] = {}
    for name in names:
        row["parts"][name] = float(np.mean([run.parts.get(name, 0.0) for run in runs]))
    row["notes"] = list(dict.fromkeys(run.note for run in runs if run.note))
    return row


def to_markdown(result: Mapping[str, Any], plan: RankingPlan, table: str) -> str:
    """Return the table of all methods as Markdown."""
    lines = ["# Ranking", ""]
    if result["command"]:
        lines += [f"Command: `{result['command']}`", ""]
    lines += [f"| {' | '.join(_COLUMNS)} |", "|" + " --- |" * len(_COLUMNS)]
    for method, row in result["methods"].items():
        taus = row.get("tau", {})
        parts = [f"{name} {seconds:.0f}" for name, seconds in row.get("parts", {}).items()]
        cells = [
            method,
            str(row["seeds"]),
            with_error(row["accuracy"], 2),
            with_error(row["rank"], 1),
            with_error(row.get("percentile"), 2),
            with_error(taus.get(ALL), 2),
            with_error(taus.get(BEST_TENTH), 2),
            with_error(row["seconds"], 0),
            ", ".join(parts).replace("_", "-") or "–",
            "; ".join(row.get("notes", ())) or "–",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    notes = _NOTES.format(
        metric=plan.metric,
        architectures=result["architectures"],
        table=table,
        images=plan.images,
        sample=plan.architectures,
        times=plan.times,
        rival_epochs=plan.rival_epochs,
        share=100 * TRAINING_SHARE,
    )
    return "\n".join(lines) + "\n" + notes


def to_rows(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return each method's name and its figures in one line, for a terminal."""
    rows = []
    for method, row in result["methods"].items():
        line = f"rank {with_error(row['rank'], 1)} of {result['architectures']:,}"
        line += f", accuracy {with_error(row['accuracy'], 2)}"
        if ALL in row.get("tau", {}):
            line += f", τ {with_error(row['tau'][ALL], 2)}"
        rows.append((method, f"{line}, {readable_time(row['seconds']['mean'])}"))
    return rows


def with_error(figure: Mapping[str, float | None] | None, digits: int) -> str:
    """Return a mean with its standard error as text; a dash for what there isn't."""
    if figure is None:
        return "–"
    text = f"{figure['mean']:.{digits}f}"
    if figure["standard_error"] is not None:
        text += f" ± {figure['standard_error']:.{digits}f}"
    return text
