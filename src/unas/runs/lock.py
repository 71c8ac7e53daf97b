"""One writer a run directory: a lock that the kernel releases, however its holder ends."""

from __future__ import annotations

import fcntl
import os
import socket
import weakref
from pathlib import Path

from unas.common.documents import parse_json, to_json
from unas.common.errors import UserError
from unas.common.files import write_error


class RunLock:
    """Hold the lock of a run directory from now until `release`, or until the process ends.

    Args:
        directory: the run directory, which exists.

    Raises:
        UserError: another process holds it (the message names host and process), or it can't be
            written.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / ".lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise write_error(path, error) from error
        self._descriptor: int | None = descriptor
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            holder = {"host": socket.gethostname(), "pid": os.getpid()}
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, to_json(holder).encode(), 0)
        except BlockingIOError as error:
            other = _holder(descriptor)
            self.release()
            raise UserError(
                f"{directory} is in use by {other}; wait for it or use another --out"
            ) from error
        except OSError as error:
            self.release()
            raise write_error(path, error) from error
        self._let_go_in_children()

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _let_go_in_children(self) -> None:
        # A forked child shares the lock and would keep it after its parent was killed.
        this = weakref.ref(self)

        def close_copy() -> None:
            lock = this()
            if lock is not None:
                lock.release()

        os.register_at_fork(after_in_child=close_copy)


def _holder(descriptor: int) -> str:
    try:
        holder = parse_json(os.pread(descriptor, 4096, 0), ".lock")
        return f"process {int(holder['pid'])} on {holder['host']}"
    except (KeyError, TypeError, ValueError, OverflowError):
        # It has the lock, but has not written its name yet.
        return "another process"
