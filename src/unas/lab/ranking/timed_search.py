"""A run's search with a clock beside it, which can end it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unas.compute.finite import SkippedUpdates
from unas.lab.ranking.course import Course
from unas.pipeline.batches import search_streams
from unas.pipeline.estimate import of_search
from unas.pipeline.phases import new_search, searching_runtime
from unas.pipeline.work import Work
from unas.runs.checkpoints import fitting
from unas.runs.names import SEARCH
from unas.runs.session import Session, StepLog
from unas.searching.loop import search_loop
from unas.searching.step import SearchStep

WARM_UP = "warm_up"
POLICY = "policy"
LEAST_MOMENTS = 10  # at which a policy's mode is noted; more where it has more epochs


@dataclass(frozen=True, kw_only=True)
class TimedSession(Session):
    """A session that clocks each step of a search, notes its mode, and ends it when time is up.

    Args:
        course: counts the seconds, and is saved with the search.
        search: the policy whose mode is noted.
        epoch: how many steps an epoch has.
        at: the seconds at which the mode is noted; if there are none, it is at each epoch's end, or
            ten times where there are fewer epochs.
        limit: seconds after which no step begins.
    """

    course: Course
    search: SearchStep
    epoch: int
    at: tuple[float, ...]
    limit: float

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
        """See `Session`."""

        def timed_state() -> dict[str, Any]:
            return {**state(), "course": self.course.state_dict()}

        warm_up = self.search.config.warm_up_epochs * self.epoch
        noted_at = self.course.seconds
        steps = super().steps(
            phase, total, timed_state, skipped, start, images_a_step=images_a_step, work=work
        )
        for step, log in steps:
            if self.ranks.largest(self.course.seconds) >= self.limit:
                return
            with self.course.part(WARM_UP if step < warm_up else POLICY):
                yield step, log
            seconds = self.course.seconds
            if step >= warm_up and self._is_moment(step + 1 - warm_up, noted_at, seconds):
                self.course.note(self.search.policy.mode())
            noted_at = seconds

    def _is_moment(self, done: int, before: float, now: float) -> bool:
        """Return whether the mode is to be noted so many steps after warm-up."""
        if not self.at:
            config = self.search.config
            steps = config.epochs * self.epoch + config.settling_steps
            return done % max(min(self.epoch, steps // LEAST_MOMENTS), 1) == 0
        return any(before < mark <= now for mark in self.at)


def timed_search(
    work: Work,
    course: Course,
    *,
    at: tuple[float, ...] = (),
    limit: float = float("inf"),
    is_fitted: bool = False,
) -> SearchStep:
    """Run a search, or what is left of it, and return it with its supernet and its policy.

    Args:
        work: the run.
        course: gets the seconds of warm-up and of the policy, and the policy's modes.
        at: the seconds at which the mode is noted; see `TimedSession`.
        limit: seconds of the course after which no step begins.
        is_fitted: epochs get so few steps that all of them fit into the time.
    """
    train, validation = search_streams(work.config, work.data, work.ranks)
    session = work.session
    checkpoint = session.run.checkpoint
    if checkpoint is not None and checkpoint.phase == SEARCH:
        with fitting(checkpoint.path):
            course.load_state_dict(checkpoint.state["course"])
    elif is_fitted:
        seconds_a_step = _seconds_a_step(work)
        epochs = work.config.search.warm_up_epochs + work.config.search.epochs
        fitting_steps = (limit - course.seconds) / seconds_a_step
        course.steps_per_epoch = max(1, int(fitting_steps / epochs))
    if course.steps_per_epoch is not None:
        train.steps_per_epoch = min(course.steps_per_epoch, train.steps_per_epoch)
    search = new_search(work, train.steps_per_epoch)
    timed = TimedSession(
        session.run,
        session.stop,
        session.checkpoint,
        session.resume_command,
        session.quiet,
        session.ranks,
        course=course,
        search=search,
        epoch=train.steps_per_epoch,
        at=at,
        limit=limit,
    )
    search_loop(search, train, validation, timed)
    return search


def _seconds_a_step(work: Work) -> float:
    """Return what a step takes, from a few of them; the same on all processes."""
    estimate = of_search(work.config, work.data.size, searching_runtime(work))
    return work.ranks.largest(estimate.seconds)
