"""What the user is told beside results: one line each on standard error."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

from unas.common.text import printable
from unas.compute.torchrun import rank

_LONGEST = 2000  # characters of a line


def tell(message: str) -> None:
    """Print a message, which may hold a file's text, as one line that moves no cursor."""
    line = printable(" ".join(message.splitlines()))
    if len(line) > _LONGEST:
        line = line[:_LONGEST] + "…"
    print(line, file=sys.stderr, flush=True)


def tell_error(message: str) -> None:
    """Print a line that begins with "error: ", and says which of several processes it is about."""
    tell(f"error: {_of_this_process(message)}")


@contextlib.contextmanager
def log_on_standard_error() -> Iterator[None]:
    """Show what unas logs in the block.

    Of several processes only the first says what is no warning.
    """
    logger, handler, level = logging.getLogger("unas"), _Lines(), logging.getLogger("unas").level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if rank() else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Lines(logging.Handler):
    """Prints each record as one line, on what standard error is at that time."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        message = _of_this_process(record.getMessage())
        is_news = record.levelno < logging.WARNING
        tell(message if is_news else f"{record.levelname.lower()}: {message}")


def _of_this_process(message: str) -> str:
    return f"rank {rank()}: {message}" if rank() else message
