"""Running a command of the user's: no shell, bounded in time and output, never left behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence

from unas.common.errors import UserError

MAX_OUTPUT_BYTES = 2**20
# How often to look whether the command has ended while a child of it holds its pipes.
LOOK_SECONDS = 0.1


def output_of(command: Sequence[str], timeout_seconds: float) -> str:
    """Return what a command prints on its standard output.

    It has a process group of its own, which is killed whatever happens: also what it started itself
    is gone then.

    Args:
        command: the program and its arguments.
        timeout_seconds: how long it may take.

    Raises:
        UserError: it can't be started, takes too long, prints more than 1 MiB or fails.
    """
    try:
        process = subprocess.Popen(  # noqa: S603  what the user gave
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"command {command[0]!r} can't be started: {reason}; give a program with --command"
        ) from error
    with _killed_at_the_end(process):
        deadline = time.monotonic() + timeout_seconds
        out, err = _read_both(process, deadline, command[0], timeout_seconds)
        try:
            code = process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            raise _too_slow(command[0], timeout_seconds) from None
    if code:
        printed = (err.strip() or out.strip()).decode(errors="replace")
        last_line = printed.splitlines()[-1][:200] if printed else "it printed nothing"
        raise UserError(f"command {command[0]!r} ended with exit code {code}: {last_line}")
    return out.decode(errors="replace")


def _read_both(
    process: subprocess.Popen[bytes], deadline: float, name: str, timeout_seconds: float
) -> tuple[bytes, bytes]:
    """Return both outputs, read as they come so that neither pipe fills, until all has ended."""
    assert process.stdout is not None  # noqa: S101  for the type checker
    assert process.stderr is not None  # noqa: S101
    out, err = process.stdout.fileno(), process.stderr.fileno()
    read = {out: bytearray(), err: bytearray()}
    with selectors.DefaultSelector() as selector:
        for descriptor in read:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            # This is asked first: all that the command has printed can be read after that.
            has_ended = process.poll() is not None
            seconds_left = deadline - time.monotonic()
            if seconds_left <= 0:
                raise _too_slow(name, timeout_seconds)
            ready = selector.select(0 if has_ended else min(seconds_left, LOOK_SECONDS))
            if has_ended and not ready:
                break
            for key, _ in ready:
                content = os.read(key.fd, 65536)
                if not content:
                    selector.unregister(key.fd)
                read[key.fd] += content
                _require_short(read[key.fd], name)
    return bytes(read[out]), bytes(read[err])


def _require_short(output: bytearray, name: str) -> None:
    if len(output) > MAX_OUTPUT_BYTES:
        raise UserError(
            f"command {name!r} prints more than 1 MiB; it must print milliseconds, one a line"
        )


@contextlib.contextmanager
def _killed_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def _too_slow(name: str, timeout_seconds: float) -> UserError:
    return UserError(
        f"command {name!r} took more than {timeout_seconds:g} seconds and was killed; "
        "raise --timeout"
    )
