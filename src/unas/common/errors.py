"""The three exceptions that everybody knows: a mistake of the user, one that rank 0 tells, and a wish to stop."""

from __future__ import annotations

import signal
from pathlib import Path


class UserError(ValueError):
    """Bad input: the message is one line that names the field, the value and the fix.

    The command line prints it as it is and exits with code 2; a library caller sees a `ValueError`.
    """


class RankZeroError(UserError):
    """A mistake that rank 0 reports, on every other rank."""


class Interrupted(Exception):  # noqa: N818 -- a wish of the user, not an error
    """A run that was asked to stop, and has saved where it is.

    Args:
        directory: the run directory.
        phase: the phase that was running.
        step: its steps that are saved.
        command: what goes on from there, as typed in a shell.
        signal_number: what asked for it; a program that ends for it exits with 128 + this number.
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
