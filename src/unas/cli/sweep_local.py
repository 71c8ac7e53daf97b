"""The runs of a sweep as processes of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from unas.cli.sweep_rows import Row
from unas.common.files import write_error
from unas.compute.hardware import cpu_count
from unas.compute.torchrun import environment_of_one

_PAUSE = 0.1


@dataclass
class _Job:
    row: Row
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    slot: int


def run_here(
    rows: list[Row],
    out: Path,
    note: Callable[[Row, int, str], None],
    stopped: Callable[[], bool],
    *,
    jobs: int,
    gpus: int,
) -> None:
    """Run all rows, so many at once; each has a log in `out`.

    Args:
        rows: the runs.
        out: the sweep's directory.
        note: gets a run, its exit code and its last line when it has ended.
        stopped: whether to stop; the runs that go on then save themselves and end.
        jobs: how many at once; job number j uses GPU j modulo `gpus`.
        gpus: how many there are; 0 for none.

    Raises:
        UserError: a log can't be written; the runs that go on then save themselves and end.
    """
    running: list[_Job] = []
    with contextlib.ExitStack() as undo:
        undo.callback(_end, running)
        _run_all(rows, out, note, stopped, running=running, jobs=jobs, gpus=gpus)


def _run_all(
    rows: list[Row],
    out: Path,
    note: Callable[[Row, int, str], None],
    stopped: Callable[[], bool],
    *,
    running: list[_Job],
    jobs: int,
    gpus: int,
) -> None:
    waiting, is_stopping = list(rows), False
    while running or (waiting and not is_stopping):
        if stopped() and not is_stopping:
            is_stopping = True
            for job in running:
                job.process.send_signal(signal.SIGTERM)
        while waiting and len(running) < jobs and not is_stopping:
            slot = next(
                number for number in range(jobs) if all(number != job.slot for job in running)
            )
            running.append(_start(waiting.pop(0), out, slot, jobs, gpus))
        for job in [job for job in running if job.process.poll() is not None]:
            running.remove(job)
            job.log.close()
            if not is_stopping or job.process.returncode == 0:
                note(job.row, job.process.returncode, last_line(out / f"{job.row.name}.log"))
        time.sleep(_PAUSE)


def _end(running: list[_Job]) -> None:
    """Ask the runs that go on to save themselves, and wait for them."""
    for job in running:
        job.process.send_signal(signal.SIGTERM)
    for job in running:
        job.process.wait()
        job.log.close()


def _start(row: Row, out: Path, slot: int, jobs: int, gpus: int) -> _Job:
    environment = environment_of_one()
    environment.setdefault("OMP_NUM_THREADS", str(max(1, cpu_count() // jobs)))
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = _gpus(gpus)[slot % gpus]
    path = out / f"{row.name}.log"
    try:
        log = path.open("ab")
    except OSError as error:
        raise write_error(path, error) from error
    # In a session of its own, so that Ctrl-C reaches it once, through this process.
    process = subprocess.Popen(  # noqa: S603  our own command
        [sys.executable, "-m", "unas", *row.command(out)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    return _Job(row, process, log, slot)


def _gpus(count: int) -> list[str]:
    """Return what each GPU that this process sees is called: a user may have named those to use."""
    names = [
        name.strip()
        for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        if name.strip()
    ]
    return names if len(names) >= count else [str(number) for number in range(count)]


def last_line(path: Path) -> str:
    """Return the last line of a log that says something, without "error: "."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = [
            line.strip()
            for line in file.read().decode(errors="replace").splitlines()
            if line.strip()
        ]
    return lines[-1].removeprefix("error: ") if lines else ""
