"""Genotypes by name or from files: published ones, a JSON file, a run directory's result."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

from unas.architecture.genotype import MAX_JSON_CHARACTERS, Genotype
from unas.common.errors import UserError
from unas.common.files import read_text, require_inside
from unas.common.registry import one_of

FILE_NAME = "genotype.json"
_PUBLISHED = resources.files("unas.architecture") / "genotypes"
ALIASES = {"UNAS_PROXYLESS": "UNAS"}  # other names that are understood
MAX_BYTES = 4 * MAX_JSON_CHARACTERS  # a character takes at most four bytes


def list_genotypes() -> tuple[str, ...]:
    """Return the names of the published genotypes, sorted."""
    names = [file.name for file in _PUBLISHED.iterdir() if file.name.endswith(".json")]
    return tuple(sorted(name.removesuffix(".json") for name in names))


def load_genotype(name_or_path: str | Path) -> Genotype:
    """Return a published genotype, or one from a file.

    Args:
        name_or_path: a name of `list_genotypes()` or one of `ALIASES`, in any case; a JSON file; or
            a run directory with a genotype.json.

    Raises:
        UserError: there is no such genotype, or the file holds none.
    """
    typed = str(name_or_path).upper()
    name = ALIASES.get(typed, typed)
    if name in list_genotypes():
        text = (_PUBLISHED / f"{name}.json").read_text(encoding="utf-8")
        return Genotype.from_json(text, name)
    path = _file_of(name_or_path)
    return Genotype.from_json(read_text(path, MAX_BYTES), str(path))


def _file_of(name_or_path: str | Path) -> Path:
    """Return the file that a path stands for: its own, or that of the run directory there."""
    # os.path takes names that no file can have, which Path refuses with errors of its own.
    if os.path.isdir(name_or_path):
        directory = Path(name_or_path)
        require_inside(directory, [FILE_NAME])
        if not os.path.exists(directory / FILE_NAME):
            raise UserError(
                f"{directory} holds no {FILE_NAME}; is it a run directory whose search has ended?"
            )
        return directory / FILE_NAME
    if not os.path.exists(name_or_path):
        names = one_of(str(name_or_path).upper(), list_genotypes())
        raise UserError(
            f"genotype {str(name_or_path)!r}: no such file, and no published genotype; {names}"
        )
    return Path(name_or_path)
