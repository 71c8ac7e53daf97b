"""A phase of a run: steps that are shown, logged, saved, stopped and resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeVar

from unas.common.errors import Interrupted, UserError
from unas.compute.finite import SkippedUpdates, too_many
from unas.compute.ranks import Ranks
from unas.runs.directory import RunDirectory
from unas.runs.interruption import StopSignal
from unas.runs.progress import Progress

T = TypeVar("T")
_NONE: Mapping[str, float] = MappingProxyType({})


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
        ranks: the processes of the run; rank 0 shows and writes.
    """

    run: RunDirectory
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
    ) -> Iterator[tuple[int, Callable[..., None]]]:
        """Yield (step, log) for each step that is left; save when it is time, at the end, and when asked to stop.

        `log(**figures)` logs and shows them; `log(more, **figures)` logs more than a line on screen
        has room for.

        Args:
            phase: its name.
            total: its number of steps.
            state: returns what a checkpoint holds, between two steps.
            skipped: the updates that were left out. While they follow on each other, nothing is saved
                in time, so that the checkpoints that are kept stay those from before.
            start: steps that are done.

        Raises:
            Interrupted: the user asked to stop; the state is saved.
            UserError: too many updates in a row were left out.
        """
        clock = CheckpointClock(self.checkpoint.every_seconds, self.checkpoint.every_steps or None)
        clock.saved(start)
        last: dict[str, float] = {}
        with Progress(
            phase, total, self.run.directory, start_step=start, quiet=self.quiet
        ) as progress:
            for step in range(start, total):
                began = time.monotonic()

                def log(
                    unshown: Mapping[str, float] = _NONE,
                    _done: int = step + 1,
                    _began: float = began,
                    **figures: float,
                ) -> None:
                    self.run.log(
                        phase,
                        _done,
                        {**figures, **unshown},
                        {"seconds_a_step": time.monotonic() - _began},
                    )
                    progress.update(_done, **figures)
                    last.update(figures)

                yield step, log
                done = step + 1
                if skipped.are_too_many:
                    raise too_many(phase, done, skipped, last, self.run.newest_finite())
                number = self._stop_number()
                if number or done == total or (clock.due(done) and not skipped.in_a_row):
                    self.run.save_checkpoint(phase, done, state())
                    clock.saved(done)
                if number:
                    raise Interrupted(self.run.directory, phase, done, self.resume_command, number)

    def stop_if_asked(self) -> None:
        """End the process here if the user asked to, in the middle of work that is done again after a resume.

        Raises:
            Interrupted: the user asked to stop; what was saved last is where the run goes on.
        """
        if self.stop.signal_number is not None:
            phase, step = self.run.saved
            raise Interrupted(
                self.run.directory, phase, step, self.resume_command, self.stop.signal_number
            )

    def stoppable(self, items: Iterable[T]) -> Iterable[T]:
        """Return the items, to be gone through as often as they can be; `stop_if_asked` before each.

        Several processes stop at the next step of a phase instead, all at the same.
        """
        return _Stoppable(items, self.stop_if_asked) if self.ranks.size == 1 else items

    def _stop_number(self) -> int:
        """Return the signal that asked any of the processes to stop, 0 if there is none: all stop at the same step."""
        return int(self.ranks.largest(self.stop.signal_number or 0))


@dataclass(frozen=True)
class _Stoppable(Iterable[T]):
    items: Iterable[T]
    check: Callable[[], None]

    def __iter__(self) -> Iterator[T]:
        for item in self.items:
            self.check()
            yield item


class CheckpointClock:
    """Say when the next checkpoint is due: after some seconds or some steps, whichever comes first.

    Args:
        every_seconds: longest time between two checkpoints.
        every_steps: most steps between two checkpoints; None: time alone decides.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        every_seconds: float,
        every_steps: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._every_seconds: Final = every_seconds
        self._every_steps: Final = every_steps
        self._clock: Final = clock
        self.saved(0)

    def due(self, step: int) -> bool:
        """Return whether to save after `step` steps."""
        by_steps = self._every_steps is not None and step - self._saved_step >= self._every_steps
        return by_steps or self._clock() - self._saved_at >= self._every_seconds

    def saved(self, step: int) -> None:
        """Note a checkpoint (or a start) at `step`."""
        self._saved_step = step
        self._saved_at = self._clock()
