"""Files that are either whole or not there: written beside, flushed, renamed; read with limits."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from unas.common.errors import UserError
from unas.common.text import readable_size

MAX_TEXT_BYTES = 64 * 2**20
MAX_DEPTH = 50  # of JSON; what unas writes has a handful of levels


def write_error(path: Path, error: OSError | ValueError, needed: int | None = None) -> UserError:
    """Return the one line for a write to `path` that failed; `needed` is the size of the file in bytes."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        need = "" if needed is None else f"{readable_size(needed)} needed, "
        free = readable_size(shutil.disk_usage(path.parent).free)
        return UserError(
            f"{path}: the disk is full: {need}{free} free; make room, then go on with --resume"
        )
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return UserError(
        f"{path} can't be written: {reason}; use another --out or change its permissions"
    )


def make_directory(path: Path) -> None:
    """Make a directory, and those above it, where there is none.

    Raises:
        UserError: it can't be made, or is a file.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise write_error(path, error) from error


def sync_directory(path: Path) -> None:
    """Wait until the names in the directory `path` are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if (
            error.errno != errno.EINVAL
        ):  # some network file systems can't; their renames are still atomic
            raise
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    # A link that somebody has put there would be written through.
    path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path, needed: int | None = None) -> Iterator[Path]:
    """Hand out a temporary path beside `path`; when the block ends well, it replaces `path` in one step.

    Whatever happens, `path` holds either its old content or the whole new one, also after a power
    cut.

    Args:
        path: the file to write or replace.
        needed: its new size in bytes, for the message when the disk is full.

    Raises:
        UserError: the disk is full, or the file can't be written.
    """
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        _remove(temporary)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_directory(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise write_error(path, error, needed) from error
        raise


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files that a killed process left in `directory`."""
    for leftover in directory.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            leftover.unlink()


def write_bytes(path: Path, *parts: bytes | memoryview) -> None:
    """Write a file atomically and durably from its parts in order; see `replacing`."""
    with (
        replacing(path, sum(len(part) for part in parts)) as temporary,
        temporary.open("wb") as file,
    ):
        for part in parts:
            file.write(part)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) atomically and durably; see `replacing`."""
    write_bytes(path, text.encode())


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
    """Write a JSON file for people and programs, atomically and durably; NaN and infinities become null."""
    write_text(path, to_json(value, indent=2) + "\n")


def is_plain(path: Path) -> bool:
    """Return whether `path`, or what it links to, is an ordinary file; of a pipe, a reader would wait forever."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def read_text(path: Path, limit: int = MAX_TEXT_BYTES) -> str:
    """Read a text file (UTF-8).

    Args:
        path: the file.
        limit: its largest size in bytes.

    Raises:
        UserError: it is missing, not a plain file, larger than the limit, or not text.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited on forever
            raise UserError(f"{path} is not a plain file")
        with path.open("rb") as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise UserError(
                f"{path} is larger than {readable_size(limit)}; unas writes no such file"
            )
        return content.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text (byte {error.start}); is it damaged?") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UserError(
            f"{path} can't be read: {getattr(error, 'strerror', None) or error}"
        ) from error


def _require_flat(value: Any) -> None:
    """Refuse a document that is nested so deeply that a function which follows it would run out of stack."""
    level = [value]
    for _ in range(MAX_DEPTH):
        nested = (
            each.values() if isinstance(each, dict) else each
            for each in level
            if isinstance(each, dict | list)
        )
        level = [item for each in nested for item in each if isinstance(item, dict | list)]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parse_json(text: str | bytes, name: str) -> Any:
    """Parse strict JSON; `name` says in messages where it comes from.

    Raises:
        UserError: it isn't JSON, or ends too soon.
    """
    try:
        value = json.loads(text, parse_constant=_no_constant)
        _require_flat(value)
        return value
    except json.JSONDecodeError as error:
        whole = error.pos < len(error.doc.rstrip())
        what = "is not JSON" if whole else "is empty or ends too soon; is it truncated?"
        raise UserError(
            f"{name} {what} ({error.msg} at line {error.lineno}, column {error.colno})"
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} is not JSON that unas writes: {error}") from error


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: it can't be read, isn't JSON, or is truncated.
    """
    return parse_json(read_text(path), str(path))


def require_inside(directory: Path, names: Iterable[str] | None = None) -> None:
    """Refuse a directory in which one of `names`, or anything, is a link that leads out of it.

    A run directory may be somebody else's: what is read and written in it must not be somewhere
    else.

    Raises:
        UserError: names the link.
    """
    for name in _names_in(directory) if names is None else names:
        path = directory / name
        try:
            if path.is_symlink() and not path.resolve().is_relative_to(directory.resolve()):
                raise UserError(
                    f"{path} is a link that leads out of {directory}; put a copy of the file there"
                )
        except (
            OSError,
            RuntimeError,
        ) as error:  # RuntimeError: links in a circle, up to Python 3.12
            raise UserError(f"{path} is a link that leads nowhere; put the file there") from error


def _names_in(directory: Path) -> list[str]:
    try:
        return [entry.name for entry in directory.iterdir()]
    except OSError:
        return []
