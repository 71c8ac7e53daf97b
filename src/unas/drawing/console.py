"""A console for results: of a fixed width in files, and a reader that goes away is told of."""

from __future__ import annotations

import sys
from typing import NoReturn, TextIO

from rich.console import Console


class ResultConsole(Console):
    """Print on a stream.

    Args:
        stream: where to print; standard output by default.
        file_width: characters of a line where the stream is no terminal.
    """

    def __init__(self, stream: TextIO | None = None, file_width: int = 240) -> None:
        super().__init__(file=stream or sys.stdout, highlight=False)
        if not self.is_terminal:
            self.width = file_width

    def on_broken_pipe(self) -> NoReturn:
        """Let the caller say how it ends; rich would end the process with exit code 1."""
        raise BrokenPipeError
