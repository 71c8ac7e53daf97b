"""From the words of a shell to an exit code: dispatch, and every error one line."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from unas import __version__
from unas.cli.commands import COMMANDS, command_help, overview
from unas.common.errors import Interrupted, RankZeroError, UserError
from unas.common.registry import one_of
from unas.common.text import printable
from unas.compute.torchrun import rank

USAGE_ERROR = 2
_LONGEST = 2000  # characters of an error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: what follows `unas` in a shell; those of this process by default.

    Returns:
        The exit code: 0; 1 if a budget isn't met; 2 for a mistake of the user, told in one line on
        standard error; 128 + the signal's number for a run that was stopped.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        _never_fail_to_encode(stream)
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except RankZeroError:  # rank 0 has told it
        code = USAGE_ERROR
    except UserError as error:
        code = _fail(str(error), USAGE_ERROR)
    except Interrupted as error:
        if rank() == 0:
            print(printable(str(error)), file=sys.stderr)
        code = 128 + error.signal_number
    except KeyboardInterrupt:
        code = _fail("stopped", 130)
    except BrokenPipeError:
        # The reader has gone; Python's own flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 141
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        code = _fail("out of memory; use a smaller batch size, or fewer channels", 1)
    return code


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in {"--help", "-h", "help"}:
        print(overview())
        return 0
    if words[0] == "--version":
        print(f"unas {__version__}")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        what = "flag" if name.startswith("-") else "command"
        raise UserError(f"unrecognised {what} {name}; {one_of(name, tuple(COMMANDS))}")
    if rest[:1] in (["--help"], ["-h"]):
        print(command_help(name))
        return 0
    command = COMMANDS[name]
    return (
        getattr(importlib.import_module(f"unas.cli.{command.module}"), command.function)(name, rest)
        or 0
    )


def _one_line(message: str) -> str:
    """Return a message without line ends and what else moves a terminal's cursor: a file's text may be in it."""
    text = printable(" ".join(message.splitlines()))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _is_out_of_memory(error: Exception) -> bool:
    # PyTorch's own allocator on the host raises a plain RuntimeError.
    known = type(error).__name__ in {"OutOfMemoryError", "MemoryError"}
    return known or (type(error) is RuntimeError and "can't allocate memory" in str(error))


def _fail(message: str, code: int) -> int:
    number = rank()
    where = f"rank {number}: " if number else ""
    print(f"error: {where}{_one_line(message)}", file=sys.stderr)
    return code


def _never_fail_to_encode(stream: TextIO) -> None:
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")
