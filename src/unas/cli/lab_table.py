"""`unas lab table`: black-box searches on a table of architectures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unas.cli.commands import Command
from unas.cli.options import TableOptions
from unas.cli.output import print_rows
from unas.cli.words import parse
from unas.common.errors import UserError
from unas.lab.tabular import lab_table
from unas.pipeline.opening import new_directory


def table(command: Command, words: Sequence[str]) -> None:
    """Do `unas lab table` with the words that follow it.

    Raises:
        UserError: a word is wrong, or the table can't be read.
    """
    file, options = parse(command, TableOptions(), words)
    if options.metric is None:
        raise UserError("--metric is missing; give the column that is searched for")
    out = Path(options.out) if options.out else new_directory(f"table-{Path(file).stem}")
    result = lab_table(
        Path(file),
        options.metric,
        report=options.report,
        minimize=options.minimize,
        queries=options.queries,
        seeds=options.seeds,
        methods=options.method,
        choices=options.choice,
        out=out,
    )
    rows = [(name, _figure(method)) for name, method in result["methods"].items()]
    plot = ("plot", result["plot"] or result["plot_missing"])
    print_rows([*rows, plot, ("directory", str(out))])


def _figure(method: dict[str, Any]) -> str:
    best, rank = method["report"], method["rank_percent"]
    return (
        f"best {best['mean'][-1]:.4f} ± {best['standard_error'][-1]:.4f}, "
        f"rank {rank['mean'][-1]:.3f} ± {rank['standard_error'][-1]:.3f} %"
    )
