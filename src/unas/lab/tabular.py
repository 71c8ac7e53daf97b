"""The experiment of `unas lab table`: black-box searches on a table from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unas.common.documents import write_json
from unas.common.errors import UserError
from unas.common.files import make_directory
from unas.lab import blackbox
from unas.lab._figure import plotted
from unas.lab.comparison import compare
from unas.lab.comparison_plot import write_plot
from unas.lab.table_files import read_table


def lab_table(
    file: Path,
    metric: str,
    *,
    report: str | None = None,
    minimize: bool = False,
    queries: int = 200,
    seeds: int = 10,
    methods: Sequence[str] = (),
    choices: Sequence[str] = (),
    out: Path = Path("lab"),
) -> dict[str, Any]:
    """Compare black-box searches on a table; write `table.json` and, with matplotlib, a plot.

    Args:
        file: a CSV with one column a choice and the rest metrics, or the JSON of NAS-Bench-Macro.
        metric: what is searched for.
        report: the metric reported for the best by `metric`; the metric itself by default.
        minimize: whether less of the metric is better, and of `report`.
        queries: how many different architectures each method may ask for.
        seeds: how many; 0, 1, …
        methods: names; all by default.
        choices: the columns of a CSV that are choices, where that can't be seen from their values.
        out: the directory to write to; it is made.

    Returns:
        what `table.json` holds, with `plot`, the picture's path, or None, and then `plot_missing`
        says why.

    Raises:
        UserError: the file, the metric, a method or a number is wrong, or `out` can't be written.
    """
    if seeds < 1:
        raise UserError(f"seeds is {seeds}; it must be 1 or more")
    table = read_table(file, metrics=[name for name in (metric, report) if name], choices=choices)
    names = tuple(methods) or blackbox.names()
    for name in names:
        blackbox.get(name)  # a wrong name should not be told after minutes
    comparison = compare(
        table, metric, names, queries=queries, seeds=range(seeds), minimize=minimize, report=report
    )
    make_directory(out)
    result = {"table": file.name, "seeds": seeds, "queries": queries, **comparison.to_json()}
    write_json(out / "table.json", result)
    return result | plotted(lambda path: write_plot({file.stem: result}, path), out / "table.png")
