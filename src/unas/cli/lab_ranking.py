"""`unas lab ranking`: searches and their rivals, judged by a table of all architectures."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from unas.cli.commands import Command
from unas.cli.configuring import configured
from unas.cli.options import RankingOptions
from unas.cli.output import print_rows
from unas.cli.words import take
from unas.common.errors import UserError
from unas.lab.ranking import RankingPlan, ranking
from unas.lab.ranking.rivals import chosen_rivals
from unas.lab.ranking.summary import to_rows
from unas.pipeline.opening import new_directory


def measure(command: Command, words: Sequence[str]) -> None:
    """Do `unas lab ranking` with the words that follow it.

    Raises:
        UserError: a word is wrong, or the runs can't be done.
    """
    typed = ["unas", *command.name.split(), *words]
    options, words = take(RankingOptions(), words)
    name, config = configured(command, words, options)
    if options.table is None:
        raise UserError("--table is missing; give the file with all architectures of the space")
    plan = RankingPlan(
        options.metric,
        options.at or (),
        options.rival_epochs,
        options.architectures,
        options.images,
        options.times,
    )
    out = Path(options.out) if options.out else new_directory(f"ranking-{name}".replace(":", "-"))
    if not options.out:
        typed += ["--out", str(out)]
    result = ranking(
        config,
        Path(options.table),
        out,
        plan,
        seeds=options.seeds,
        rivals=chosen_rivals(config, options.rivals),
        command=shlex.join(typed),
        quiet=options.quiet,
    )
    plot = ("plot", result["plot"] or result["plot_missing"])
    print_rows([*to_rows(result), plot, ("directory", str(out))])
