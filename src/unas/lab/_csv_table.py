"""A CSV of architectures: one column a choice, the others metrics."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unas.common.errors import UserError
from unas.common.registry import one_of
from unas.lab.table import ArchitectureTable

MAX_OPTIONS = 64
MAX_COLUMNS = 1000


def parse_csv(
    text: str, metrics: Sequence[str] = (), choices: Sequence[str] = ()
) -> ArchitectureTable:
    """Read a table; see `unas.lab.table_files.read_table` for what is a choice and what a metric.

    Raises:
        UserError: a line has too many or too few fields, a metric isn't a number, or there is no
            choice or no metric.
    """
    columns = _columns(text)
    for name in (*metrics, *choices):
        if name not in columns:
            raise UserError(f"there is no column {name!r}; {one_of(name, tuple(columns))}")
    both = sorted(set(metrics) & set(choices))
    if both:
        raise UserError(
            f"column {both[0]!r} is given as a metric and as a choice; it can be one of them"
        )
    picked = choices or [
        name for name, values in columns.items() if name not in metrics and _is_choice(values)
    ]
    numbers = {
        name: _numbers(name, values) for name, values in columns.items() if name not in picked
    }
    if not picked:
        raise UserError(
            "no column is a choice: each has fractions or more than 64 different values; name them"
        )
    if not numbers:
        raise UserError("no column is a metric: all look like choices; name the metric")
    options = {name: tuple(sorted(set(columns[name]), key=_natural)) for name in picked}
    rows = [[options[name].index(value) for value in columns[name]] for name in picked]
    return ArchitectureTable(options, np.array(rows, dtype=np.int64).T, numbers)


def _columns(text: str) -> dict[str, list[str]]:
    """Return the fields of each column, by its name."""
    lines = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
        if (
            not any(header)
            or "" in header
            or len(set(header)) < len(header)
            or len(header) > MAX_COLUMNS
        ):
            raise UserError(
                "the first line must name every column, each with a name of its own, 1000 at most"
            )
        rows = []
        for row in lines:
            if row and len(row) != len(header):
                raise UserError(
                    f"line {lines.line_num} has {len(row)} fields; the header has {len(header)}"
                )
            if row:
                rows.append([field.strip() for field in row])
    except csv.Error as error:
        raise UserError(f"line {lines.line_num} is not CSV: {error}") from error
    if not rows:
        raise UserError(
            "there is no line after the header; a table needs one for each architecture"
        )
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


def _is_choice(values: Sequence[str]) -> bool:
    different = set(values)
    return len(different) <= MAX_OPTIONS and not any(_is_fraction(value) for value in different)


def _is_fraction(value: str) -> bool:
    try:
        return not float(value).is_integer() or "." in value or "e" in value.lower()
    except (ValueError, OverflowError):
        return False


def _numbers(name: str, values: Sequence[str]) -> NDArray[np.float64]:
    found = []
    for number, value in enumerate(values):
        try:
            found.append(float(value))
        except ValueError:
            found.append(math.nan)
        if not math.isfinite(found[-1]):
            raise UserError(
                f"column {name!r}, architecture {number + 1}: {value[:40]!r} is not a finite "
                "number, "
                "and the column has too many different values, or is not named, to be a choice"
            )
    return np.array(found)


def _natural(option: str) -> tuple[int, float, str]:
    """Sort numbers by value and before words."""
    return (0, int(option), option) if option.isdecimal() and len(option) < 16 else (1, 0, option)
