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
    """Return the one line for a write to `path` that failed.

    `needed` is the file's size in bytes.
    """
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        sizes = [] if needed is None else [f"{readable_size(needed)} needed"]
        with contextlib.suppress(OSError):
            sizes.append(f"{readable_size(_free_bytes(path))} free")
        room = f": {', '.join(sizes)}" if sizes else ""
        return UserError(f"{path}: the disk is full{room}; make room, then go on with --resume")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return UserError(
        f"{path} can't be written: {reason}; use another --out or change its permissions"
    )


def _free_bytes(path: Path) -> int:
    """Return the free space where `path` is to be, whose directories may not all exist yet."""
    existing = next(directory for directory in path.absolute().parents if directory.exists())
    return shutil.disk_usage(existing).free


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
    """Hand out a temporary path beside `path`.

    When the block ends well, it replaces `path` in one step.

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


def is_plain(path: Path) -> bool:
    """Return whether `path`, or what it links to, is an ordinary file.

    Of a pipe, a reader would wait forever.
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
