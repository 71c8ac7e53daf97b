"""`unas report`: runs as one HTML file."""

from __future__ import annotations

from pathlib import Path

from unas.cli.commands import command_help
from unas.cli.words import take_flag
from unas.common.errors import UserError
from unas.common.registry import one_of


def report(command: str, words: list[str]) -> None:
    """Do `unas report` with the words that follow it: write the file, and print its path.

    Raises:
        UserError: a word is wrong, a run can't be read, or the file not written.
    """
    if {"--help", "-h"} & set(words):
        print(command_help(command))
        return
    outs, runs = take_flag(words, "--out")
    for word in runs:
        if word.startswith("-"):
            raise UserError(
                f"unrecognised flag {word.partition('=')[0]}; {one_of(word, ('--out', '--help'))}"
            )
    if not runs or not all(runs):
        raise UserError(f"RUN is missing; it comes first, for example: unas {command} runs/demo")
    if len(outs) > 1:
        raise UserError("--out is given twice; leave one out")
    directories = [Path(run) for run in runs]
    places = [directory.absolute() for directory in directories]
    if twice := next(
        (run for run, place in zip(runs, places, strict=True) if places.count(place) > 1), None
    ):
        raise UserError(f"{twice} is given twice; leave one out")
    from unas.report import write_report

    print(write_report(directories, Path(outs[0]) if outs else None))
