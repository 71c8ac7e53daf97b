"""Files that are either whole or not there: written beside, flushed, renamed; read with limits."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from unas.common.errors import UserError
from unas.common.text import readable_size

MAX_TEXT_BYTES = 64 * 2**20


def write_error(path: Path, error: OSError | ValueError, needed: int | None = None) -> UserError:
    """Return the one line for a write to `path` that failed; `needed` is its size in bytes."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        room = _room(path, needed)
        return UserError(f"{path}: the disk is full{room}; make room, then go on with --resume")
    return UserError(
        f"{path} can't be written: {_reason(error)}; use another --out or change its permissions"
    )


def _room(path: Path, needed: int | None) -> str:
    """Return what a file needs and what is free, to follow "the disk is full"."""
    sizes = []
    if needed is not None:
        sizes.append(f"{readable_size(needed)} needed")
    # The file's own directory may not exist yet.
    existing = next(directory for directory in path.absolute().parents if directory.exists())
    with contextlib.suppress(OSError):
        sizes.append(f"{readable_size(shutil.disk_usage(existing).free)} free")
    return f": {', '.join(sizes)}" if sizes else ""


def _reason(error: OSError | ValueError) -> str:
    """Return why a file can't be opened, read or written; a ValueError: no file has such a name."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)


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
        # Some network file systems can't wait; their renames are still atomic.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    # A link that somebody has put there would be written through.
    path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path: Path, needed: int | None = None) -> Iterator[Path]:
    """Hand out a temporary path, which replaces `path` in one step when the block ends well.

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
    size = sum(len(part) for part in parts)
    with replacing(path, size) as temporary, temporary.open("wb") as file:
        for part in parts:
            file.write(part)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) atomically and durably; see `replacing`."""
    write_bytes(path, text.encode())


def is_plain(path: Path) -> bool:
    """Return whether `path`, or what it links to, is an ordinary file.

    Nothing else is opened: whoever reads from a pipe may wait forever.
    """
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
    # os.path takes every name, also one that no file can have.
    if os.path.exists(path) and not is_plain(path):
        raise UserError(f"{path} is not a plain file")
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} can't be read: {_reason(error)}") from error
    if len(content) > limit:
        raise UserError(f"{path} is larger than {readable_size(limit)}; unas writes no such file")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text (byte {error.start}); is it damaged?") from error


def require_inside(directory: Path, names: Iterable[str] | None = None) -> None:
    """Refuse a directory in which one of `names`, or anything, is a link that leads out of it.

    A run directory may be somebody else's: it must not make us read or write somewhere else.

    Raises:
        UserError: names the link.
    """
    for name in _names_in(directory) if names is None else names:
        path = directory / name
        try:
            leads_out = path.is_symlink() and not _is_inside(path, directory)
        except (OSError, RuntimeError) as error:  # RuntimeError: a circle, up to Python 3.12
            raise UserError(f"{path} is a link that leads nowhere; put the file there") from error
        if leads_out:
            raise UserError(
                f"{path} is a link that leads out of {directory}; put a copy of the file there"
            )


def _is_inside(link: Path, directory: Path) -> bool:
    return link.resolve().is_relative_to(directory.resolve())


def _names_in(directory: Path) -> list[str]:
    try:
        return [entry.name for entry in directory.iterdir()]
    except OSError:
        return []
