"""The three exceptions that everybody knows, and what a message says of all the others."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unas.common.text import printable

_LONGEST_LINE = 200  # characters


class UserError(ValueError):
    """Bad input: the message is one line that names the field, the value and the fix.

    The command line prints it as it is and exits with code 2; a library caller sees a `ValueError`.
    Names of files are in many messages, and whoever made a file chose its name: what would break
    the line or move a terminal's cursor is escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(message.splitlines())))


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, cut to 200 characters.

    An error that says nothing is told by its type.
    """
    line = str(error).strip().partition("\n")[0].strip()
    return line[:_LONGEST_LINE] or type(error).__name__


def kind_and_line(error: BaseException) -> str:
    """Return an error of somebody else's code as its type and the first line of what it says."""
    kind = type(error).__name__
    line = first_line(error)
    if line == kind:
        return kind
    return f"{kind}: {line}"


class RankZeroError(UserError):
    """A mistake that rank 0 reports, on every other rank."""


class Interrupted(Exception):  # noqa: N818 -- a wish of the user, not an error
    """A run that was asked to stop, and has saved where it is.

    Args:
        directory: the run directory.
        phase: the phase that was running.
        step: steps of the phase that are saved.
        command: what goes on from there, as typed in a shell.
        signal_number: the signal that asked for it; the exit code is 128 + this number.
    """

    def __init__(
        self,
        directory: Path,
        phase: str,
        step: int,
        command: str,
        signal_number: int = signal.SIGINT,
    ) -> None:
        super().__init__(
            f"stopped after {phase} step {step}, saved in {directory}; go on with: {command}"
        )
        self.directory = directory
        self.phase = phase
        self.step = step
        self.command = command
        self.signal_number = signal_number


@contextmanager
def one_line_errors(what: str) -> Iterator[None]:
    """Turn every error of somebody else's code in the block into one line that begins with `what`.

    Raises:
        UserError: with the error's type and first line.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{what}: {kind_and_line(error)}") from error


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Put the path of the object that is made in the block before its errors.

    The errors name a field of the object alone, or begin with the last name of the path.

    Raises:
        UserError: with the path.
    """
    try:
        with one_line_errors("it can't be made"):
            yield
    except UserError as error:
        if not path:
            raise
        message = str(error)
        name = path.rpartition(".")[2]
        if message.startswith(f"{name}."):
            raise UserError(path + message.removeprefix(name)) from error
        raise UserError(f"{path}: {message}") from error
