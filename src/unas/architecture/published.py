"""Genotypes by name or from files: the published ones, one JSON file, or a run directory's result."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from unas.architecture.genotype import MAX_JSON_CHARACTERS, Genotype
from unas.common.errors import UserError
from unas.common.files import require_inside
from unas.common.registry import one_of

FILE_NAME = "genotype.json"
_MAX_BYTES = 4 * MAX_JSON_CHARACTERS  # a character takes at most four bytes


def list_genotypes() -> tuple[str, ...]:
    """Return the names of the published genotypes, sorted."""
    files = (resources.files("unas.architecture") / "genotypes").iterdir()
    return tuple(
        sorted(file.name.removesuffix(".json") for file in files if file.name.endswith(".json"))
    )


def load_genotype(name_or_path: str | Path) -> Genotype:
    """Return a published genotype, or one from a file.

    Args:
        name_or_path: a name of `list_genotypes()` in any case, a JSON file, or a run directory with
            a genotype.json.

    Raises:
        UserError: there is no such genotype, or the file holds none.
    """
    for name in list_genotypes():
        if str(name_or_path).upper() == name.upper():
            file = resources.files("unas.architecture") / "genotypes" / f"{name}.json"
            return Genotype.from_json(file.read_text(encoding="utf-8"), name)
    path = Path(name_or_path)
    try:
        if path.is_dir():
            require_inside(path, [FILE_NAME])
            path /= FILE_NAME
            if not path.exists():
                raise UserError(
                    f"{path.parent} holds no {FILE_NAME}; is it a run directory whose search has ended?"
                )
        if not path.exists():
            names = one_of(str(name_or_path).upper(), list_genotypes())
            raise UserError(
                f"genotype {str(name_or_path)!r}: no such file, and no published genotype; {names}"
            )
        return Genotype.from_json(_read(path), str(path))
    except UserError:
        raise
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not text (byte {error.start}); a genotype is a JSON file"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"genotype {str(name_or_path)!r} can't be read: {reason}") from error


def _read(path: Path) -> str:
    if not path.is_file():  # a pipe would be waited on forever
        raise UserError(f"{path} is not a plain file; a genotype is a JSON file")
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise UserError(f"{path} is larger than {_MAX_BYTES} bytes; a genotype has a few thousand")
    return content.decode()
