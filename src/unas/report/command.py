"""The command line of a run, taken apart."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

from unas.report.run_data import RunData

_VERBS = ("run", "search", "train")
_HERE = ("--out", "--resume", "--quiet")  # where and how it was shown, not what was run


def _words(run: RunData) -> list[str]:
    """Return the words after `unas`; none if the run was started from Python."""
    program, *words = run.manifest.texts("command") or [""]
    is_ours = PurePosixPath(program).name == "unas" or program.endswith("unas/__main__.py")
    if is_ours and words and words[0] in _VERBS:
        return words
    return []


def recipe_of(run: RunData) -> str:
    """Return the recipe that a run began with, else the name of its data set."""
    words = _words(run)
    if len(words) > 1 and not words[1].startswith("-"):
        return words[1]
    return run.config.object("dataset").text("name") or "run"


def typed(run: RunData) -> str:
    """Return the whole command as it was typed."""
    words = _words(run)
    if words:
        return shlex.join(["unas", *words])
    return shlex.join(run.manifest.texts("command"))


def repeated(run: RunData) -> str:
    """Return the command that does the same again in a new directory.

    "" if the run was started from Python.
    """
    kept: list[str] = []
    words = _words(run)
    while words:
        word = words.pop(0)
        if word.partition("=")[0] not in _HERE:
            kept.append(word)
        elif word == "--out" and words:
            words.pop(0)
    return shlex.join(["unas", *kept]) if kept else ""
