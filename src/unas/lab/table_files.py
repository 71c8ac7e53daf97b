"""Tables of architectures as files: CSV, or the JSON of NAS-Bench-Macro."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unas.common.documents import parse_json
from unas.common.errors import UserError
from unas.common.files import read_text
from unas.lab._csv_table import parse_csv
from unas.lab._macro_table import parse_macro
from unas.lab.table import ArchitectureTable


def read_table(
    path: Path, *, metrics: Sequence[str] = (), choices: Sequence[str] = ()
) -> ArchitectureTable:
    """Read a table: *.json as NAS-Bench-Macro is published, all else as CSV with a header.

    Args:
        path: the file, up to 64 MiB.
        metrics: columns of a CSV that are known to be metrics.
        choices: the columns of a CSV that are choices; without them, every column that isn't in
            `metrics` and has at most 64 different values, none of them a fraction. Columns that are
            neither are metrics.

    Raises:
        UserError: it can't be read, or is no such table.
    """
    text = read_text(path)
    try:
        if path.suffix.lower() == ".json":
            return parse_macro(parse_json(text, str(path)))
        return parse_csv(text, metrics, choices)
    except UserError as error:
        message = str(error)
        raise UserError(
            message if message.startswith(str(path)) else f"{path}: {message}"
        ) from error
