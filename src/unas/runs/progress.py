"""What a person sees while a phase runs: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as RichProgress

from unas.common.text import readable_time

SECONDS_BETWEEN_LINES = 10.0


def say(line: str, *, quiet: bool = False) -> None:
    """Print a line on standard error, above the bar where there is one; nothing if `quiet`."""
    if not quiet:
        print(line, file=sys.stderr, flush=True)


class Progress:
    """Show how far a phase is, on standard error, so that standard output holds results alone.

    Args:
        phase: its name.
        total_steps: its number of steps.
        directory: the run directory.
        start_step: steps that an earlier process has done.
        quiet: show nothing.
        stream: where to show it; standard error by default. A terminal gets a bar, anything else
            plain lines.
        clock: seconds that never go back.
        work: how much of the work the first so many steps are; they all take as long by default.

    Attributes:
        step: how many steps are done.
        figures: the last value of each figure that was shown.
    """

    def __init__(
        self,
        phase: str,
        total_steps: int,
        directory: Path,
        *,
        start_step: int = 0,
        quiet: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        work: Callable[[int], float] = float,
    ) -> None:
        self._phase = phase
        self._total_steps = total_steps
        self._directory = directory
        self._start_step = start_step
        self.step = start_step
        self._clock = clock
        self._work = work
        self.figures: dict[str, float] = {}
        stream = stream or sys.stderr
        self._lines: TextIO | None = None
        self._bar: RichProgress | None = None
        if quiet:
            return
        if stream.isatty():
            self._bar = _bar(stream)
        else:
            self._lines = stream

    def __enter__(self) -> Progress:
        self._started = self._clock()
        self._line_at = self._started
        self._line_step: int | None = None
        if self._bar is not None:
            self._task = self._bar.add_task(
                self._phase,
                total=self._total_steps,
                completed=self.step,
                status=str(self._directory),
            )
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
        elif self._line_step != self.step:
            self._print_line()

    def update(self, step: int, **figures: float) -> None:
        """Show that `step` steps are done; figures that aren't given keep their last value."""
        self.step = step
        self.figures.update(figures)
        if self._bar is not None:
            status = f"{self._status()}  {self._directory}"
            self._bar.update(self._task, completed=step, status=status)
        elif self._clock() - self._line_at >= SECONDS_BETWEEN_LINES:
            self._print_line()

    def skip(self, steps: int) -> None:
        """Count as many more steps that an earlier process has done."""
        self._start_step += steps
        self.update(self.step + steps)

    def _print_line(self) -> None:
        if self._lines is None:
            return
        done = f"{self._phase} {self.step}/{self._total_steps}"
        print(f"{done}  {self._status()}  {self._directory}", file=self._lines, flush=True)
        self._line_at = self._clock()
        self._line_step = self.step

    def _status(self) -> str:
        figures = [f"{name} {value:.4g}" for name, value in self.figures.items()]
        return "  ".join([*figures, self._time()])

    def _time(self) -> str:
        elapsed = self._clock() - self._started
        if self.step >= self._total_steps:
            return f"took {readable_time(elapsed)}"
        if self.step == self._start_step:
            return "starting"
        done = self._work(self.step)
        pace = elapsed / (done - self._work(self._start_step))
        seconds_left = pace * (self._work(self._total_steps) - done)
        return f"{readable_time(seconds_left)} left"


def _bar(stream: TextIO) -> RichProgress:
    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TextColumn("{task.fields[status]}", markup=False),  # a path may hold square brackets
        console=Console(file=stream),
        refresh_per_second=4,
    )
