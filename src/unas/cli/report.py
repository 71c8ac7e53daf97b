"""`unas report`: runs as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unas.cli.commands import Command
from unas.cli.options import ReportOptions
from unas.cli.words import require_no_more, take, take_name
from unas.common.errors import UserError
from unas.report import write_report


def report(command: Command, words: Sequence[str]) -> None:
    """Do `unas report` with the words that follow it: write the file, and print its path.

    Raises:
        UserError: a word is wrong, a run can't be read, or the file not written.
    """
    options, runs = take(ReportOptions(), words)
    flags = [word for word in runs if word.startswith("-")]
    require_no_more(command, flags, options)
    take_name(command, runs)
    names: dict[Path, str] = {}
    for run in runs:
        place = Path(run).absolute()
        if place in names:
            raise UserError(f"{names[place]} is given twice; leave one out")
        names[place] = run
    out = None if options.out is None else Path(options.out)
    print(write_report([Path(run) for run in runs], out))
