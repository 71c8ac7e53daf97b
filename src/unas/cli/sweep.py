"""`unas sweep`: many independent runs and one table."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.table import Table
from rich.text import Text

from unas.cli.commands import Command
from unas.cli.configuring import configured
from unas.cli.options import RunOptions, SweepOptions
from unas.cli.output import print_table
from unas.cli.sweep_local import run_here
from unas.cli.sweep_ray import run_on_ray
from unas.cli.sweep_runs import SweepRun, runs_of, seeds_of
from unas.cli.sweep_table import Results
from unas.cli.words import take, take_name
from unas.common.documents import read_json, write_json
from unas.common.errors import UserError
from unas.common.files import make_directory
from unas.common.text import printable
from unas.pipeline.opening import new_directory
from unas.runs.interruption import StopSignal

SWEEP = "sweep.json"
_log = logging.getLogger("unas.cli")


def sweep(command: Command, words: Sequence[str]) -> int:
    """Do `unas sweep` with the words that follow it.

    Returns:
        0 if all runs have ended well, 1 if one has failed, 128 + the signal's number if they were
        stopped.

    Raises:
        UserError: a word is wrong.
    """
    options, words = take(SweepOptions(), words)
    runs = _runs(command, words, options)
    out = Path(options.out) if options.out else new_directory("sweep")
    _prepare(out, runs)
    results = Results(runs, out)
    with StopSignal() as stop:
        _run_all(results, options, stop)
    results.write()
    _print(results)
    if stop.signal_number is not None:
        left = len(results.waiting())
        _log.info(
            "stopped with %d of %d runs to go; the same command with --out %s goes on",
            left,
            len(runs),
            out,
        )
        return 128 + stop.signal_number
    return 1 if results.failed else 0


def _runs(command: Command, words: Sequence[str], options: SweepOptions) -> list[SweepRun]:
    """Return the runs; a mistake in the configuration of any is told before the first.

    Raises:
        UserError: a word is wrong.
        HelpAskedError: one of the words asks for help.
    """
    recipes, words = take_name(command, words)
    for word in words:
        name = word.partition("=")[0]
        if name in command.sets:
            raise UserError(
                f"{name} is not a flag of unas {command.name}; it does that by itself for every run"
            )
    seeds = seeds_of(options.seeds)
    runs = runs_of(recipes.split(","), seeds, options.settings, options.budget, words)
    different = {(run.recipe, *run.settings.values()): run for run in runs}
    for run in different.values():
        _, run_words = take(RunOptions(), [run.recipe, *run.words])
        configured(command, run_words, options)
    return runs


def _prepare(out: Path, runs: Sequence[SweepRun]) -> None:
    """Make the sweep's directory, and refuse one of other runs.

    Raises:
        UserError: it holds another sweep.
    """
    make_directory(out)
    # Without the place, which may have another spelling the next time.
    commands = {run.name: shlex.join(["unas", *run.command(Path())]) for run in runs}
    path = out / SWEEP
    if path.exists() and read_json(path) != commands:
        raise UserError(
            f"{out} holds another sweep ({SWEEP}); use another --out, or the same command as before"
        )
    write_json(path, commands)


def _run_all(results: Results, options: SweepOptions, stop: StopSignal) -> None:
    """Run what is not done yet, until somebody wants to stop."""

    def stopped() -> bool:
        return stop.signal_number is not None

    waiting = results.waiting()
    if options.ray is not None:
        run_on_ray(options.ray, waiting, results.out, results.note, stopped)
        return
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    jobs = options.jobs or max(1, gpus)
    run_here(waiting, results.out, results.note, stopped, jobs=jobs, gpus=gpus)


def _print(results: Results) -> None:
    for rows in (results.table(), results.means()):
        columns = [name for name in rows[0] if any(row[name] for row in rows)]
        table = Table(*columns, box=None)
        for row in rows:
            table.add_row(*(Text(printable(row[name])) for name in columns))
        print_table(table)
    print(printable(f"tables: {results.out / 'results.csv'} and {results.out / 'results.md'}"))
