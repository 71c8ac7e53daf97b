"""The experiment of `unas lab ranking`: searches and rivals on a table, one after the other."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unas.common.documents import parse_json
from unas.common.errors import UserError
from unas.common.files import make_directory, write_text
from unas.common.text import readable_time
from unas.config import Config
from unas.config.document import config_to_json
from unas.lab._figure import plotted
from unas.lab.ranking.course import Clock
from unas.lab.ranking.methods import Methods, RankingPlan
from unas.lab.ranking.outcomes import FILE, Outcome, OutcomeFile
from unas.lab.ranking.plot import write_plot
from unas.lab.ranking.rivals import EVOLUTION, RANDOM, SEARCH, variant
from unas.lab.ranking.summary import summaries, to_markdown
from unas.lab.ranking.truth import Truth
from unas.lab.table_files import read_table
from unas.runs.progress import say as say_on_screen


def ranking(
    config: Config,
    table: Path,
    out: Path,
    plan: RankingPlan,
    *,
    seeds: int = 1,
    rivals: Sequence[str] = (),
    command: str = "",
    quiet: bool = False,
    say: Callable[[str], None] | None = None,
    clock: Clock = time.monotonic,
) -> dict[str, Any]:
    """Search with each seed and run each rival as long; look up in a table what they end with.

    Write ranking.json, .md and, where matplotlib is there, .png. What ranking.json holds already is
    not measured again, so the same call goes on where it was stopped.

    Args:
        config: the recipe.
        table: the accuracies of all architectures of its space; see `read_table`.
        out: the directory for all of it.
        plan: what is measured.
        seeds: how many, from the recipe's on.
        rivals: names; see `unas.lab.ranking.rivals`.
        command: what made it, for the table's head and for whoever stops it.
        quiet: show no progress.
        say: gets a line after each method.
        clock: seconds that never go back.

    Returns:
        what ranking.json holds, with `plot`, the picture's path, or None, and then `plot_missing`
        says why.

    Raises:
        UserError: the table isn't of the recipe's space, or a run can't be done.
    """
    if config.genotype is not None:
        raise UserError(
            f"--genotype is {config.genotype}, but a search finds its own; leave it out"
        )
    for name in rivals:
        if name not in {RANDOM, EVOLUTION}:
            variant(config, name)  # what can't be is refused now, and not after the search
    truth = read_truth(table, plan.metric, config)
    make_directory(out)
    kept = OutcomeFile(out / FILE, _setup(config, table, plan))
    methods = Methods(config, truth, plan, out, command or "the same command", quiet, clock)
    tell = say or (lambda line: say_on_screen(line, quiet=quiet))
    for seed in range(config.seed, config.seed + seeds):
        if (SEARCH, seed) not in kept.outcomes:
            _keep(kept, methods.search(seed), truth, tell)
        for name in rivals:
            if (name, seed) not in kept.outcomes:
                _keep(kept, methods.rival(name, kept.outcomes[SEARCH, seed]), truth, tell)
    outcomes = list(kept.outcomes.values())
    result = {"command": command, "architectures": len(truth), "methods": summaries(outcomes)}
    kept.write(result)
    write_text(out / "ranking.md", to_markdown(result, plan, table.name))
    picture = plotted(lambda path: write_plot(outcomes, len(truth), path), out / "ranking.png")
    return result | picture


def read_truth(table: Path, metric: str, config: Config) -> Truth:
    """Return what a table knows of a recipe's space.

    Raises:
        UserError: it can't be read, or isn't of this space.
    """
    choices = tuple(config.space.choices)
    architectures = read_table(table, metrics=[metric], choices=choices)
    try:
        return Truth(architectures, metric, config.space)
    except UserError as error:
        raise UserError(f"{table}: {error}") from error


def _setup(config: Config, table: Path, plan: RankingPlan) -> dict[str, Any]:
    """Return all that must be the same for methods to be compared, as JSON gives it back."""
    setup = {name: value for name, value in asdict(plan).items() if name != "at"}
    setup["at"] = list(plan.at)
    setup["table"] = hashlib.sha256(table.read_bytes()).hexdigest()
    setup["recipe"] = parse_json(config_to_json(config), "config")
    return setup


def _keep(kept: OutcomeFile, measured: Outcome, truth: Truth, tell: Callable[[str], None]) -> None:
    kept.add(measured)
    tell(
        f"{measured.method}, seed {measured.seed}: rank {measured.rank:,} of {len(truth):,}, "
        f"{measured.accuracy:.2f} in the table, {readable_time(measured.seconds)}"
    )
