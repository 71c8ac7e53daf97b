"""A command that receives an ONNX file and prints milliseconds: a phone, a board, another runtime."""

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

    is_remote: ClassVar[bool] = True

    command: str = ""
    timeout_seconds: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.timeout_seconds < math.inf:
            raise UserError(
                f"timeout_seconds is {self.timeout_seconds}; it must be above 0, and finite"
            )

    def prepare(
        self,
        network: nn.Module,
        batch_shape: tuple[int, int, int, int],
        device: torch.device,
        threads: int,
    ) -> Clock:
        """Return a function that returns the command's next time of the exported network, in milliseconds.

        Raises:
            UserError: see `_Command`.
        """
        self._words(Path())  # before seconds are spent on the export
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
        """Return a function that returns the command's next time of an ONNX file, in milliseconds."""
        return _Command(self._words(path), self.timeout_seconds)

    def version(self) -> str:
        """Return the command."""
        return self.command

    def _words(self, path: Path) -> list[str]:
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise UserError(f"command is {self.command!r}: {error}; check its quotes") from error
        if not words:
            raise UserError(
                'command is missing; give one, for example --command "adb-run.sh {model}"'
            )
        if not any(PLACE in word for word in words):
            words.append(PLACE)
        return [word.replace(PLACE, str(path.absolute())) for word in words]


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
        found = []
        for line in filter(None, map(str.strip, output.splitlines())):
            try:
                milliseconds = float(line)
            except ValueError:
                milliseconds = math.nan
            if not 0 < milliseconds < math.inf:
                raise UserError(
                    f"command {self.words[0]!r} printed {line[:60]!r}; it must print milliseconds above 0, one a line"
                )
            found.append(milliseconds)
        if not found:
            raise UserError(
                f"command {self.words[0]!r} printed nothing; it must print milliseconds, one a line"
            )
        return found
