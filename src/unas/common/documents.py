"""JSON documents: strict, not too deep, and each says what it is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from unas.common.errors import UserError
from unas.common.files import MAX_TEXT_BYTES, read_text, write_text
from unas.common.text import shown

MAX_DEPTH = 50  # what unas writes has a handful of levels


def finite(value: Any) -> Any:
    """Return a JSON value with null in place of every float that JSON can't hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Return strict JSON: infinities and NaN become null."""
    return json.dumps(finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically and durably; NaN and infinities become null."""
    write_text(path, to_json(value, indent=2) + "\n")


def parse_json(text: str | bytes, name: str) -> Any:
    """Parse strict JSON; `name` says in messages where it comes from.

    Raises:
        UserError: it isn't JSON, or ends too soon.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant)
        _require_flat(value)
    except json.JSONDecodeError as error:
        if error.pos < len(error.doc.rstrip()):
            what = "is not JSON"
        else:
            what = "is empty or ends too soon; is it truncated?"
        where = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise UserError(f"{name} {what} ({where})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} is not JSON that unas writes: {error}") from error
    return value


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it can't be read, isn't JSON, or is truncated.
    """
    return parse_json(read_text(path), str(path))


@dataclass(frozen=True)
class Format:
    """What a document says of itself, so that one kind is not taken for another.

    Args:
        name: its field "format", for example "unas.genotype".
        version: its field "version".
        noun: what messages call such a document, for example "a genotype".
        fields: the other fields that it must have.
    """

    name: str
    version: int | str
    noun: str
    fields: tuple[str, ...] = ()

    def head(self) -> dict[str, Any]:
        """Return the fields that a document of this format begins with."""
        return {"format": self.name, "version": self.version}

    def read(self, path: Path, limit: int = MAX_TEXT_BYTES) -> dict[str, Any]:
        """Read a file of this format that has at most `limit` bytes.

        Raises:
            UserError: it can't be read, or is not of this format.
        """
        return self.parse(read_text(path, limit), str(path))

    def parse(self, text: str, source: str) -> dict[str, Any]:
        """Return the fields of a document; `source` says in messages where it comes from.

        Raises:
            UserError: it is not JSON, or not of this format.
        """
        return self.check(parse_json(text, source), source)

    def check(self, document: Any, source: str) -> dict[str, Any]:
        """Return a document as it is.

        Raises:
            UserError: it is not of this format, or a field is missing.
        """
        if not isinstance(document, dict) or document.get("format") != self.name:
            needed = f'the document needs "format": "{self.name}"'
            raise UserError(f"{source}: not {self.noun}; {needed}")
        version = document.get("version")
        if version != self.version:
            raise UserError(
                f"{source}: version is {shown(version)}; this unas reads version {self.version}"
            )
        for field in self.fields:
            if field not in document:
                raise UserError(f"{source}: the field {field!r} is missing; is the file damaged?")
        return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _require_flat(value: Any) -> None:
    """Refuse a document so deep that a function which follows it would run out of stack."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [item for container in level for item in _containers_in(container)]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")


def _containers_in(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        items = list(value.values())
    elif isinstance(value, list):
        items = value
    else:
        return
    for item in items:
        if isinstance(item, dict | list):
            yield item
