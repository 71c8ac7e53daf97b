"""A phase of a run: steps that are shown, logged, saved, stopped and resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

from unas.common.errors import Interrupted, UserError
from unas.compute.finite import SkippedUpdates, too_many
from unas.compute.ranks import Ranks
from unas.runs.interruption import StopSignal
from unas.runs.progress import Progress
from unas.runs.run_log import RunLog

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
NO_FIGURES: Mapping[str, float] = MappingProxyType({})


@runtime_checkable
class SizedIterable(Protocol[T_co]):
    """What can be iterated over again and again, and says of how many items."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[T_co]: ...


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


class StepLog:
    """Log and show the figures of one step, when it is called.

    Args:
        run: where to log.
        progress: where to show.
        phase: its name.
        done: steps of the phase that are done with this one.
        images: training images of the step, of all processes; 0 where nobody counts them.
    """

    def __init__(
        self, run: RunLog, progress: Progress, phase: str, done: int, images: int = 0
    ) -> None:
        self._run = run
        self._progress = progress
        self._phase = phase
        self._done = done
        self._images = images
        self._began = time.monotonic()
        self._seconds: float | None = None

    def end_step(self) -> None:
        """Note that the step is done: what follows before it is logged isn't its time."""
        self._seconds = time.monotonic() - self._began

    def __call__(self, unshown: Mapping[str, float] = NO_FIGURES, /, **figures: float) -> None:
        """Log all figures; a line on screen has no room for those of `unshown`."""
        if self._seconds is None:
            self.end_step()
        self._run.log(self._phase, self._done, {**figures, **unshown}, self._timings())
        self._progress.update(self._done, **figures)

    def _timings(self) -> dict[str, float]:
        """Return what depends on a clock, which metrics.jsonl must not hold."""
        seconds = self._seconds or 0.0
        timings = {"seconds_a_step": seconds}
        if self._images and seconds:
            timings["images_a_second"] = self._images / seconds
        return timings


@dataclass(frozen=True)
class Session:
    """What the phases of one process share.

    Args:
        run: where to log and save.
        stop: the wish to stop.
        checkpoint: how often to save.
        resume_command: what to type to go on.
        quiet: show no progress.
        ranks: the processes of the run; rank 0 shows and writes.
    """

    run: RunLog
    stop: StopSignal
    checkpoint: CheckpointConfig
    resume_command: str
    quiet: bool = False
    ranks: Ranks = Ranks()

    def steps(
        self,
        phase: str,
        total: int,
        state: Callable[[], Mapping[str, Any]],
        skipped: SkippedUpdates,
        start: int = 0,
        *,
        images_a_step: int = 0,
        work: Callable[[int], float] = float,
    ) -> Iterator[tuple[int, StepLog]]:
        """Yield (step, log) for each step that is left.

        Saves when it is time, after the last step, and when the user asks to stop.

        Args:
            phase: its name.
            total: its number of steps.
            state: returns what a checkpoint holds, between two steps.
            skipped: the updates that were left out. While one follows on another, nothing is saved
                because it is time: that would remove the checkpoints from before them.
            start: steps that are done.
            images_a_step: training images of a step, of all processes, for images a second.
            work: see `Progress`.

        Raises:
            Interrupted: the user asked to stop; the state is saved.
            UserError: too many updates in a row were left out.
        """
        clock = CheckpointClock(self.checkpoint.every_seconds, self.checkpoint.every_steps)
        clock.saved(start)
        directory = self.run.directory
        progress = Progress(phase, total, directory, start_step=start, quiet=self.quiet, work=work)
        with progress:
            for step in range(start, total):
                done = step + 1
                yield step, StepLog(self.run, progress, phase, done, images_a_step)
                if skipped.are_too_many:
                    good = self.run.newest_finite()
                    raise too_many(phase, done, skipped, progress.figures, good)
                number = self._stop_number()
                is_due = clock.due(done) and not skipped.in_a_row
                if number or done == total or is_due:
                    self.run.save_checkpoint(phase, done, state())
                    clock.saved(done)
                if number:
                    raise Interrupted(directory, phase, done, self.resume_command, number)

    def stop_if_asked(self) -> None:
        """End the process here if the user asked to: a resumed run does this work again.

        Raises:
            Interrupted: the user asked to stop; what was saved last is where the run goes on.
        """
        self._stop(self.stop.signal_number or 0)

    def stop_together_if_asked(self, keep: Callable[[], None] = lambda: None) -> None:
        """End all processes here, which all must call this, if one of them was asked to.

        Args:
            keep: saves what a resumed run needs not to do this work again.

        Raises:
            Interrupted: see `stop_if_asked`.
        """
        number = self._stop_number()
        if number:
            keep()
        self._stop(number)

    def _stop(self, number: int) -> None:
        if number:
            phase, step = self.run.saved
            raise Interrupted(self.run.directory, phase, step, self.resume_command, number)

    def stoppable(self, items: SizedIterable[T]) -> SizedIterable[T]:
        """Return the same items, with `stop_if_asked` before each.

        Several processes stop at the next step of a phase instead, all at the same one.
        """
        if self.ranks.size > 1:
            return items
        return _Stoppable(items, self.stop_if_asked)

    def _stop_number(self) -> int:
        """Return the signal that asked any of the processes to stop, 0 if none did.

        All of them return the same, and so stop at the same step.
        """
        return int(self.ranks.largest(self.stop.signal_number or 0))


@dataclass(frozen=True)
class _Stoppable(Iterable[T]):
    items: SizedIterable[T]
    check: Callable[[], None]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        for item in self.items:
            self.check()
            yield item


class CheckpointClock:
    """Say when the next checkpoint is due: after some seconds or some steps, whichever comes first.

    Args:
        every_seconds: longest time between two checkpoints.
        every_steps: most steps between two checkpoints; 0: time alone decides.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        every_seconds: float,
        every_steps: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._every_seconds: Final = every_seconds
        self._every_steps: Final = every_steps
        self._clock: Final = clock
        self.saved(0)

    def due(self, step: int) -> bool:
        """Return whether to save after `step` steps."""
        if self._every_steps and step - self._saved_step >= self._every_steps:
            return True
        return self._clock() - self._saved_at >= self._every_seconds

    def saved(self, step: int) -> None:
        """Note a checkpoint (or a start) at `step`."""
        self._saved_step = step
        self._saved_at = self._clock()
