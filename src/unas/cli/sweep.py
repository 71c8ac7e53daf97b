"""`unas sweep`: many independent runs and one table."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from unas.cli.run import configured
from unas.cli.sweep_local import run_here
from unas.cli.sweep_ray import run_on_ray
from unas.cli.sweep_rows import Row, rows_of, seeds_of
from unas.cli.sweep_table import Results
from unas.cli.words import take_count, take_flag, take_name
from unas.common.documents import read_json, write_json
from unas.common.errors import UserError
from unas.common.files import make_directory
from unas.common.text import printable
from unas.pipeline.opening import new_directory
from unas.runs.interruption import StopSignal

SWEEP = "sweep.json"


def sweep(command: str, words: list[str]) -> int:
    """Do `unas sweep` with the words that follow it; return 0 if all runs have ended well, else 1.

    Raises:
        UserError: a word is wrong.
    """
    import torch

    recipes, words = take_name(
        words, "RECIPE", f"unas {command} digits --seeds 0,1,2 --out runs/sweep"
    )
    seeds, words = take_flag(words, "--seeds")
    settings, words = take_flag(words, "--set")
    budgets, words = take_flag(words, "--budget")
    outs, words = take_flag(words, "--out")
    addresses, words = take_flag(words, "--ray")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    jobs, words = take_count("--jobs", max(1, gpus), words)
    for flag in ("--seed", "--resume", "--quiet", "--dry-run"):
        if any(word.partition("=")[0] == flag for word in words):
            raise UserError(
                f"{flag} is not a flag of unas {command}; it does that by itself for every run"
            )
    rows = rows_of(
        recipes.split(","), seeds_of(seeds[-1] if seeds else "0"), settings, budgets, words
    )
    for row in {(row.recipe, *row.settings.values()): row for row in rows}.values():
        configured("run", [row.recipe, *row.words])  # a mistake is told before the first run
    out = Path(outs[-1]) if outs else new_directory("sweep")
    results = Results(rows, _prepared(out, rows))
    with StopSignal() as stop:

        def stopped() -> bool:
            return stop.signal_number is not None

        waiting = results.waiting()
        if addresses:
            run_on_ray(addresses[-1], waiting, out, results.note, stopped)
        else:
            run_here(waiting, out, results.note, stopped, jobs=jobs, gpus=gpus)
    results.write()
    _print(results)
    if stop.signal_number is not None:
        left = len(results.waiting())
        raise UserError(
            f"stopped with {left} of {len(rows)} runs to go; the same command with --out {out} goes on"
        )
    return 1 if results.failed else 0


def _prepared(out: Path, rows: list[Row]) -> Path:
    """Make the sweep's directory, and refuse one of other runs.

    Raises:
        UserError: it holds another sweep.
    """
    make_directory(out)
    commands = {row.name: shlex.join(["unas", *row.command(out)]) for row in rows}
    path = out / SWEEP
    if path.exists() and read_json(path) != commands:
        raise UserError(
            f"{out} holds another sweep ({SWEEP}); use another --out, or the same command as before"
        )
    write_json(path, commands)
    return out


def _print(results: Results) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = 240
    for rows in (results.table(), results.means()):
        shown = [name for name in rows[0] if any(row[name] for row in rows)]
        table = Table(*shown, box=None)
        for row in rows:
            table.add_row(*(Text(printable(row[name])) for name in shown))
        console.print(table)
    console.print(Text(f"tables: {results.out / 'results.csv'} and {results.out / 'results.md'}"))
