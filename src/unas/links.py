"""Symbolic links in directories that may be somebody else's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from unas.errors import UserError


def require_inside(directory: Path, names: Iterable[str] | None = None) -> None:
    """Refuse a directory in which one of `names`, or anything, is a link that leads out of it.

    A run directory may be somebody else's: what is read and written in it must not be somewhere else.

    Raises:
        UserError: names the link.
    """
    for name in _names_in(directory) if names is None else names:
        path = directory / name
        try:
            if path.is_symlink() and not path.resolve().is_relative_to(directory.resolve()):
                raise UserError(f"{path} is a link that leads out of {directory}; put a copy of the file there")
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, up to Python 3.12
            raise UserError(f"{path} is a link that leads nowhere; put the file there") from error


def _names_in(directory: Path) -> list[str]:
    try:
        return [entry.name for entry in directory.iterdir()]
    except OSError:
        return []
