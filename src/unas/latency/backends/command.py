"""A command that gets an ONNX file and prints milliseconds: a phone, a board, another runtime."""

from __future__ import annotations

import math
import shlex
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from unas.common.errors import UserError
from unas.common.files import write_bytes
from unas.graphs.onnx import to_onnx
from unas.latency.backends._process import output_of
from unas.latency.backends.base import Backend, Clock

PLACE = "{model}"


@dataclass(frozen=True)
class CommandBackend(Backend):
    """Run a command on the exported network; what it prints is the time.

    It prints one number, or one a line if it takes several samples at once, in milliseconds. No
    shell reads it.

    Args:
        command: the command line, for example "adb-run.sh {model}"; the path of an ONNX file takes
            the place of {model}, or follows at the end.
        timeout_seconds: how long one call of the command may take.

    Raises:
        UserError: there is no command, its quotes don't match, or the timeout isn't positive.
    """

    devices: ClassVar[tuple[str, ...]] = ()
    is_remote: ClassVar[bool] = True
    chooses_batch: ClassVar[bool] = False
    runs_files: ClassVar[bool] = True
    runs_foreign_code: ClassVar[bool] = True

    command: str = ""
    timeout_seconds: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.timeout_seconds < math.inf:
            raise UserError(
                f"timeout_seconds is {self.timeout_seconds}; it must be above 0, and finite"
            )
        if not self._words():
            raise UserError(
                'backend command: the command is missing; give one, such as "adb-run.sh {model}", '
                "with --command, in Python as CommandBackend(command=…)"
            )

    def prepare(
        self,
        network: nn.Module,
        batch_shape: tuple[int, int, int, int],
        device: torch.device,
        threads: int,
    ) -> Clock:
        """Return a function that returns the command's next time of the exported network."""
        _, channels, height, width = batch_shape
        directory = Path(tempfile.mkdtemp(prefix="unas-"))
        path = directory / "model.onnx"
        try:
            write_bytes(path, to_onnx(network, (channels, height, width)).SerializeToString())
            run = self.prepare_file(path, batch_shape, device, threads)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        weakref.finalize(run, shutil.rmtree, directory, ignore_errors=True)
        return run

    def prepare_file(
        self,
        path: Path,
        batch_shape: tuple[int, int, int, int],  # noqa: ARG002  the command knows its own
        device: torch.device,  # noqa: ARG002
        threads: int,  # noqa: ARG002
    ) -> Clock:
        """Return a function that returns the command's next time of an ONNX file."""
        words = self._words()
        if not any(PLACE in word for word in words):
            words.append(PLACE)
        location = str(path.absolute())
        return _Command([word.replace(PLACE, location) for word in words], self.timeout_seconds)

    def version(self) -> str:
        """Return the command."""
        return self.command

    def _words(self) -> list[str]:
        try:
            return shlex.split(self.command)
        except ValueError as error:
            raise UserError(f"command is {self.command!r}: {error}; check its quotes") from error


class _Command:
    """A clock that calls the command whenever all that it has printed is used up.

    Args:
        words: the program and its arguments.
        timeout_seconds: how long one call may take.
    """

    def __init__(self, words: list[str], timeout_seconds: float) -> None:
        self.words = words
        self.timeout_seconds = timeout_seconds
        self.times: list[float] = []

    def __call__(self) -> float:
        """Return the next time in milliseconds.

        Raises:
            UserError: the command fails, hangs, or prints something else than milliseconds.
        """
        if not self.times:
            self.times = self._parsed(output_of(self.words, self.timeout_seconds))[::-1]
        return self.times.pop()

    def _parsed(self, output: str) -> list[float]:
        times = [self._milliseconds(line.strip()) for line in output.splitlines() if line.strip()]
        if not times:
            raise UserError(
                f"command {self.words[0]!r} printed nothing; it must print milliseconds, one a line"
            )
        return times

    def _milliseconds(self, line: str) -> float:
        try:
            milliseconds = float(line)
        except ValueError:
            milliseconds = math.nan
        if not 0 < milliseconds < math.inf:
            raise UserError(
                f"command {self.words[0]!r} printed {line[:60]!r}; "
                "it must print milliseconds above 0, one a line"
            )
        return milliseconds
