"""The runs of a sweep as processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from unas.cli.sweep_runs import SweepRun
from unas.common.files import write_error
from unas.compute.hardware import cpu_count
from unas.compute.torchrun import environment_of_one

_PAUSE_SECONDS = 0.1
_END_OF_A_LOG = 4096  # bytes


def run_here(
    runs: Sequence[SweepRun],
    out: Path,
    note: Callable[[SweepRun, int, str], None],
    stopped: Callable[[], bool],
    *,
    jobs: int,
    gpus: int,
) -> None:
    """Run all, so many at once; each has a log in `out`.

    Args:
        runs: the runs.
        out: the sweep's directory.
        note: gets a run, its exit code and its last line when it has ended.
        stopped: whether to stop; the runs that go on then save themselves and end.
        jobs: how many at once; job number j uses GPU j modulo `gpus`.
        gpus: how many there are; 0 for none.

    Raises:
        UserError: a log can't be written; the runs that go on then save themselves and end.
    """
    waiting = list(reversed(runs))
    places = _Places(out, jobs, gpus)
    try:
        while (waiting or places.jobs) and not stopped():
            while waiting and places.has_room():
                places.start(waiting.pop())
            for job in places.take_ended():
                note(job.run, job.process.returncode, last_line(job.log_path))
            time.sleep(_PAUSE_SECONDS)
    finally:
        places.terminate()
    for job in places.take_ended():
        if job.process.returncode == 0:  # others were stopped, which is no failure
            note(job.run, 0, last_line(job.log_path))


def last_line(path: Path) -> str:
    """Return the last line of a log that says something, without "error: "."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _END_OF_A_LOG))
        end = file.read().decode(errors="replace")
    lines = [line.strip() for line in end.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else ""


@dataclass(frozen=True)
class _Job:
    run: SweepRun
    process: subprocess.Popen[bytes]
    log: IO[bytes]
    log_path: Path
    place: int


class _Places:
    """The processes that go on, each in one of a number of places.

    Args:
        out: the sweep's directory.
        count: how many at once.
        gpus: how many GPUs the places share; 0 for none.
    """

    def __init__(self, out: Path, count: int, gpus: int) -> None:
        self.jobs: list[_Job] = []
        self._out = out
        self._count = count
        self._gpus = gpus

    def has_room(self) -> bool:
        """Return whether a place is free."""
        return len(self.jobs) < self._count

    def start(self, run: SweepRun) -> None:
        """Start a run in a free place.

        Raises:
            UserError: its log can't be written.
        """
        place = min(set(range(self._count)) - {job.place for job in self.jobs})
        path = self._out / f"{run.name}.log"
        try:
            log = path.open("ab")
        except OSError as error:
            raise write_error(path, error) from error
        # In a session of its own, so that Ctrl-C reaches it once, through this process.
        process = subprocess.Popen(  # noqa: S603  our own command
            [sys.executable, "-m", "unas", *run.command(self._out)],
            env=self._environment(place),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self.jobs.append(_Job(run, process, log, path, place))

    def take_ended(self) -> Iterator[_Job]:
        """Yield the jobs that have ended since the last call."""
        for job in list(self.jobs):
            if job.process.poll() is not None:
                self.jobs.remove(job)
                job.log.close()
                yield job

    def terminate(self) -> None:
        """Ask the runs that go on to save themselves, and wait until they have."""
        for job in self.jobs:
            job.process.send_signal(signal.SIGTERM)
        for job in self.jobs:
            job.process.wait()
            job.log.close()

    def _environment(self, place: int) -> dict[str, str]:
        environment = environment_of_one()
        environment.setdefault("OMP_NUM_THREADS", str(max(1, cpu_count() // self._count)))
        if self._gpus:
            names = _gpu_names(self._gpus)
            environment["CUDA_VISIBLE_DEVICES"] = names[place % self._gpus]
        return environment


def _gpu_names(count: int) -> list[str]:
    """Return what each GPU that this process sees is called: a user may have named those to use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    names = [name.strip() for name in visible if name.strip()]
    return names if len(names) >= count else [str(number) for number in range(count)]
