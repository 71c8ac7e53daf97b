"""Damage what a run has saved, fill its disk, forbid it to write; see what is lost and said.

    python benchmarks/damage.py [--steps 23] [--every 5]

The disk full and the read-only directory are a small tmpfs, which needs root; without it they are
left out. The run is a loop of steps with a state of 1 MiB, saved every so many steps, killed after
the last.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from unas.common.errors import UserError
from unas.runs.directory import RunDirectory
from unas.runs.names import CHECKPOINTS
from unas.runs.session import CheckpointClock

MESSAGES: list[str] = []


class Collect(logging.Handler):
    """Keep warnings for the table."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        MESSAGES.append(record.getMessage())


def save_steps(
    run: RunDirectory, first: int, last: int, every: int, num_bytes: int = 2**20
) -> None:
    for step in range(first, last + 1):
        run.log("search", step, {"loss": 1 / step})
        if step % every == 0:
            run.save_checkpoint(
                "search", step, {"weights": torch.full((num_bytes // 4,), float(step))}
            )


def row(what: str, whole: Path, last: int, change: object = None) -> None:
    """Damage a copy of the run, resume it, and print what came back."""
    copy = whole.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(whole, copy)
    if callable(change):
        change(sorted((copy / CHECKPOINTS).glob("*.ckpt")))
    MESSAGES.clear()
    with RunDirectory.resume(copy, {}) as run:
        at = run.checkpoint
        step = at.step if at else 0
        right = at is None or bool((at.state["weights"] == float(step)).all())
    message = " ".join(MESSAGES).replace(str(copy), "DIR") or "—"
    print(
        f"| {what} | {step} | {last - step} | {'yes' if right else 'NO'} | {message} |", flush=True
    )


def cut(tenth: int) -> object:
    return lambda paths: os.truncate(paths[-1], paths[-1].stat().st_size * tenth // 10)


def flip(tenth: int) -> object:
    def change(paths: list[Path]) -> None:
        content = bytearray(paths[-1].read_bytes())
        content[(len(content) - 1) * tenth // 10] ^= 1
        paths[-1].write_bytes(content)

    return change


def empty_all(paths: list[Path]) -> None:
    for path in paths:
        path.write_bytes(b"")


@contextlib.contextmanager
def small_disk(path: Path, mib: int) -> Iterator[None]:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(path)], check=True)


def on_small_disk(directory: Path, every: int) -> None:
    disk = directory / "disk"
    with small_disk(disk, 4):
        with RunDirectory.create(disk / "run", "{}", {}) as run:
            try:  # the third checkpoint finds no room beside two
                save_steps(run, 1, 4 * every, every, 3 * 2**19)
            except UserError as error:
                print(f"disk full, two checkpoints there: {str(error).replace(str(disk), 'DISK')}")
        with RunDirectory.resume(disk / "run", {}) as run:
            print(f"disk full: resumed at step {run.checkpoint.step if run.checkpoint else 0}")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for open_run in (
            partial(RunDirectory.resume, disk / "run", {}),
            partial(RunDirectory.create, disk / "new", "{}", {}),
        ):
            try:
                open_run()
            except UserError as error:
                print(f"read-only: {str(error).replace(str(disk), 'DISK')}")


def jumping_clock() -> None:
    now, real = [0.0], time.time
    try:
        clock = CheckpointClock(120.0, clock=lambda: now[0])
        due = []
        for second in range(600):
            now[0] += 1
            years = 1e8 if second % 2 else -1e8
            time.time = partial(lambda years: real() + years, years)  # type: ignore[assignment]
            if clock.due(second):
                due.append(second + 1)
                clock.saved(second)
    finally:
        time.time = real
    print(f"the time of day jumps by three years each second for ten minutes: saved after {due} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=23)
    parser.add_argument("--every", type=int, default=5)
    arguments = parser.parse_args()
    logging.getLogger("unas").addHandler(Collect())
    logging.getLogger("unas").propagate = False
    directory = Path(tempfile.mkdtemp(prefix="unas-damage-"))
    whole, last = directory / "whole", arguments.steps
    with RunDirectory.create(whole, "{}", {}) as run:
        save_steps(run, 1, last, arguments.every)
    print(f"{last} steps, a checkpoint of 1 MiB every {arguments.every}\n")
    print(
        "| damage to the newest checkpoint | resumed at step | steps lost | state right | message |"
    )
    print("|---|---|---|---|---|")
    row("none", whole, last)
    for tenth in range(10):
        row(f"cut off at {tenth}/10", whole, last, cut(tenth))
    for tenth in range(11):
        row(f"a bit flipped at {tenth}/10", whole, last, flip(tenth))
    row("both emptied", whole, last, empty_all)
    print()
    jumping_clock()
    if os.geteuid() == 0:
        on_small_disk(directory, arguments.every)
    shutil.rmtree(directory)


if __name__ == "__main__":
    main()
