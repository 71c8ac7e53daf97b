"""From the words of a shell to an exit code: dispatch, and every error one line."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from unas import __version__
from unas.cli.commands import COMMANDS, command_help, overview
from unas.errors import UserError
from unas.registry import one_of

USAGE_ERROR = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: what follows `unas` in a shell; those of this process by default.

    Returns:
        The exit code: 0; 2 for a mistake of the user, told in one line on standard error; 128 + the signal's number
        for a run that was stopped.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        _never_fail_to_encode(stream)
    try:
        _dispatch(words)
        sys.stdout.flush()
    except UserError as error:
        return _fail(str(error), USAGE_ERROR)
    except KeyboardInterrupt:
        return _fail("stopped", 130)
    except BrokenPipeError:
        # The reader has gone; Python's own flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception as error:
        # Matched by name and lazily, so that help needs neither torch nor the pipeline.
        if type(error).__name__ == "Interrupted":
            print(error, file=sys.stderr)
            return 128 + int(getattr(error, "signal_number", 2))
        if type(error).__name__ == "OutOfMemoryError":
            return _fail("the device is out of memory; use a smaller batch size, or fewer channels", 1)
        raise
    return 0


def _dispatch(words: list[str]) -> None:
    if not words or words[0] in {"--help", "-h", "help"}:
        print(overview())
        return
    if words[0] == "--version":
        print(f"unas {__version__}")
        return
    name, *rest = words
    if name not in COMMANDS:
        what = "flag" if name.startswith("-") else "command"
        raise UserError(f"unrecognised {what} {name}; {one_of(name, tuple(COMMANDS))}")
    if rest[:1] in (["--help"], ["-h"]):
        print(command_help(name))
        return
    command = COMMANDS[name]
    getattr(importlib.import_module(f"unas.cli.{command.module}"), command.function)(name, rest)


def _fail(message: str, code: int) -> int:
    print("error: " + " ".join(message.splitlines()), file=sys.stderr)
    return code


def _never_fail_to_encode(stream: TextIO) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
