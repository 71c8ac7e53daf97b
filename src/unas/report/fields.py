"""JSON objects of a run whose fields are checked when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from unas.common.errors import UserError
from unas.common.text import shown

LARGEST = 1e30  # of a figure; nothing that a run measures or counts comes near


@dataclass(frozen=True)
class Fields:
    """A JSON object of a file that may be somebody else's.

    Args:
        values: the fields, by name.
        source: what messages call the object: the file, and where in it.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    @classmethod
    def of(cls, value: Any, source: str) -> Fields:
        """Return a JSON value as an object.

        Raises:
            UserError: the value is no object.
        """
        if not isinstance(value, dict):
            raise UserError(
                f"{source} is {shown(value)}; it must be an object with fields, as unas wrote it"
            )
        return cls(value, source)

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def number(self, name: str) -> float | None:
        """Return a number; None where it is missing or null.

        Raises:
            UserError: the field is something else.
        """
        value = self.values.get(name)
        if value is not None and not is_figure(value):
            raise self._error(name, "a number")
        return value

    def text(self, name: str) -> str:
        """Return a text; "" where it is missing or null.

        Raises:
            UserError: the field is something else.
        """
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            raise self._error(name, "text")
        return value or ""

    def flag(self, name: str) -> bool:
        """Return true or false.

        Raises:
            UserError: the field is neither.
        """
        value = self.values.get(name)
        if not isinstance(value, bool):
            raise self._error(name, "true or false")
        return value

    def texts(self, name: str) -> list[str]:
        """Return a list of texts, empty where it is missing or null.

        Raises:
            UserError: the field is something else.
        """
        value = self.values.get(name) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._error(name, "a list of texts")
        return value

    def object(self, name: str) -> Fields:
        """Return an object, empty where it is missing or null.

        Raises:
            UserError: the field is something else.
        """
        value = self.values.get(name)
        return Fields.of({} if value is None else value, f"{self.source}: {name}")

    def objects(self, name: str) -> list[Fields]:
        """Return a list of objects, empty where it is missing or null.

        Raises:
            UserError: the field is something else.
        """
        value = self.values.get(name) or []
        if not isinstance(value, list):
            raise self._error(name, "a list")
        source = f"{self.source}: {name}"
        return [Fields.of(item, f"{source}[{index}]") for index, item in enumerate(value)]

    def named(self) -> Iterator[tuple[str, str]]:
        """Yield (name, text) of an object of texts.

        Raises:
            UserError: a field is something else.
        """
        for name in self.values:
            yield name, self.text(name)

    def _error(self, name: str, expected: str) -> UserError:
        value = shown(self.values.get(name))
        return UserError(f"{self.source}: {name} is {value}; it must be {expected}")


def is_figure(value: Any) -> bool:
    """Return whether a JSON value is a number that can be drawn."""
    return type(value) in {int, float} and abs(value) <= LARGEST and math.isfinite(value)
