"""A phase of a run: steps that are shown, logged, saved, stopped and resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unas.checkpoint_clock import CheckpointClock
from unas.errors import UserError
from unas.interruption import Interrupted, StopSignal
from unas.progress import Progress
from unas.run_directory import RunDirectory


@dataclass(frozen=True)
class CheckpointConfig:
    """How often a run saves itself.

    Args:
        every_seconds: longest time between two checkpoints, in seconds.
        every_steps: most steps between two checkpoints; 0: time alone decides.
    """

    every_seconds: float = 120.0
    every_steps: int = 0

    def __post_init__(self) -> None:
        for name in ("every_seconds", "every_steps"):
            if not getattr(self, name) >= 0:
                raise UserError(f"checkpoint.{name} is {getattr(self, name)}; it must be 0 or more")


@dataclass(frozen=True)
class Session:
    """What the phases of one process share.

    Args:
        run: the run directory, open for writing.
        stop: the wish to stop.
        checkpoint: how often to save.
        resume_command: what to type to go on.
        quiet: show no progress.
    """

    run: RunDirectory
    stop: StopSignal
    checkpoint: CheckpointConfig
    resume_command: str
    quiet: bool = False

    def steps(
        self, phase: str, total: int, state: Callable[[], Mapping[str, Any]], start: int = 0
    ) -> Iterator[tuple[int, Callable[..., None]]]:
        """Yield (step, log) for each step that is left; save when it is time, at the end, and when asked to stop.

        Args:
            phase: its name.
            total: its number of steps.
            state: returns what a checkpoint holds, between two steps.
            start: steps that are done.

        Raises:
            Interrupted: the user asked to stop; the state is saved.
        """
        clock = CheckpointClock(self.checkpoint.every_seconds, self.checkpoint.every_steps or None)
        clock.saved(start)
        with Progress(phase, total, self.run.directory, start_step=start, quiet=self.quiet) as progress:
            for step in range(start, total):
                began = time.monotonic()

                def log(_done: int = step + 1, _began: float = began, **figures: float) -> None:
                    self.run.log(phase, _done, figures, {"seconds_a_step": time.monotonic() - _began})
                    progress.update(_done, **figures)

                yield step, log
                done = step + 1
                if self.stop.requested or done == total or clock.due(done):
                    self.run.save_checkpoint(phase, done, state())
                    clock.saved(done)
                if self.stop.signal_number is not None:
                    directory, number = self.run.directory, self.stop.signal_number
                    raise Interrupted(directory, phase, done, self.resume_command, number)
