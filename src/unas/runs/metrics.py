"""metrics.jsonl: one JSON object a line, the same bytes however often the run was resumed."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from unas.common.documents import parse_json, to_json
from unas.common.errors import UserError
from unas.common.files import is_plain, write_error

MAX_LINE_BYTES = 2**20


class MetricsLog:
    """An append-only log of figures by phase and step.

    Nothing that depends on a clock belongs in it. A checkpoint stores what `flush` returns; the
    resumed run hands it back as `keep_bytes`, and everything logged after that checkpoint, half a
    line included, is cut.

    Args:
        path: the file.
        keep_bytes: the part to keep, from the beginning on.

    Raises:
        UserError: the file can't be written, or is shorter than the part to keep.
    """

    def __init__(self, path: Path, keep_bytes: int = 0) -> None:
        self.path = path
        if path.is_fifo():  # it would be waited on forever
            raise UserError(f"{path} is a pipe; remove it")
        try:
            self._file = path.open("ab", buffering=0)
            length = self._file.seek(0, os.SEEK_END)
            if length > keep_bytes:
                self._file.truncate(keep_bytes)
        except OSError as error:
            raise write_error(path, error) from error
        if length < keep_bytes:
            self._file.close()
            raise UserError(
                f"{path} has {length} bytes, its checkpoint knows of {keep_bytes}; restore the file"
            )

    def log(self, phase: str, step: int, values: Mapping[str, float]) -> None:
        """Append one line; a value that isn't finite is written as null.

        Raises:
            UserError: the disk is full.
            ValueError: a value is called "phase" or "step".
        """
        if not values.keys().isdisjoint(("phase", "step")):
            raise ValueError(f"metrics can't be called phase or step: {sorted(values)}")
        line = (to_json({"phase": phase, "step": step, **values}) + "\n").encode()
        try:
            unwritten = line
            while unwritten:
                unwritten = unwritten[self._file.write(unwritten) :]
        except OSError as error:
            raise write_error(self.path, error, len(line)) from error

    def flush(self) -> int:
        """Wait until every line is on the disk and return the length of the file in bytes.

        Raises:
            UserError: the disk is full.
        """
        try:
            os.fsync(self._file.fileno())
            return self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise write_error(self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a metrics.jsonl, also while it is written: half a last line is left out.

    Raises:
        UserError: the file can't be read, or a line isn't a JSON object with phase and step.
    """
    if not is_plain(path):
        raise UserError(
            f"{path} is missing: nothing has been logged, or it is not a run directory's file"
        )
    with path.open("rb") as file:
        for number in itertools.count(1):
            line = file.readline(MAX_LINE_BYTES)
            where = f"{path} line {number}"
            if not line.endswith(b"\n"):
                if len(line) == MAX_LINE_BYTES:
                    raise UserError(
                        f"{where} is longer than {MAX_LINE_BYTES} bytes; is it damaged?"
                    )
                return
            entry = parse_json(line, where)
            if not isinstance(entry, dict) or not {"phase", "step"} <= entry.keys():
                raise UserError(f"{where} is not an object with phase and step; is it damaged?")
            yield entry
