"""A search and its rivals, each measured with one seed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from unas.common.errors import UserError
from unas.compute.seeds import generator_for, step_seed
from unas.config import Config
from unas.estimators import draw_hard
from unas.lab.blackbox.evolution import Evolution
from unas.lab.queries import BudgetSpentError, Queries
from unas.lab.ranking.agreement import agreement, some_validation_images
from unas.lab.ranking.course import Clock, Course
from unas.lab.ranking.from_scratch import Trainings
from unas.lab.ranking.outcomes import Outcome, outcome
from unas.lab.ranking.rivals import (
    EVOLUTION,
    PUBLISHED,
    RANDOM,
    SEARCH,
    uniform_training,
    variant,
)
from unas.lab.ranking.timed_search import POLICY, WARM_UP, timed_search
from unas.lab.ranking.truth import Truth
from unas.pipeline.choosing import choose_architecture
from unas.pipeline.finalist_states import FinalistStates
from unas.pipeline.opening import work_in
from unas.pipeline.work import Work
from unas.runs.names import FINALISTS, GENOTYPE
from unas.searching.halving import supernet_losses
from unas.searching.step import SearchStep

TRAINING_SHARE = 0.8  # of evolution's time; it evolves in the rest


@dataclass(frozen=True)
class RankingPlan:
    """What is measured.

    Args:
        metric: the table's accuracy.
        at: minutes of a method at which its mode is noted; if there are none, it is at each epoch's
            end, or ten times where there are fewer epochs.
        rival_epochs: how many epochs a random network is trained for.
        architectures: how many Kendall's τ is taken over, of all and of the best tenth; 0: it isn't
            measured.
        images: how many validation images score an architecture, for τ and in evolution.
        times: how many times the search's time its rivals get.
    """

    metric: str = "mean_acc"
    at: tuple[float, ...] = ()
    rival_epochs: int = 5
    architectures: int = 50
    images: int = 2000
    times: float = 1.0

    def __post_init__(self) -> None:
        if any(not minutes > 0 for minutes in self.at):
            raise UserError(f"at has {min(self.at)}; give minutes, each more than 0")
        if not 0 < self.times < math.inf:
            raise UserError(f"times is {self.times}; it must be more than 0, and finite")
        for name, least in (("rival_epochs", 1), ("architectures", 0), ("images", 1)):
            if getattr(self, name) < least:
                raise UserError(f"{name} is {getattr(self, name)}; it must be {least} or more")


@dataclass(frozen=True)
class Methods:
    """Measures methods, each in a run directory of its own.

    Args:
        config: the recipe.
        truth: the table.
        plan: what is measured.
        out: where the run directories are.
        command: what to type to go on after a stop.
        quiet: show no progress.
        clock: seconds that never go back.
    """

    config: Config
    truth: Truth
    plan: RankingPlan
    out: Path
    command: str = "the same command"
    quiet: bool = False
    clock: Clock = time.monotonic

    def search(self, seed: int) -> Outcome:
        """Search and choose as the recipe says."""
        course = Course(self.clock)
        with self._work(self.config, SEARCH, seed) as work:
            search = timed_search(work, course, at=self._at_seconds)
            course.note(search.policy.mode())
            # What is written down of finalists was trained before this course began to count.
            work.session.run.path(FINALISTS).unlink(missing_ok=True)
            FinalistStates(work).remove()
            with course.part("choosing"):
                genotype = choose_architecture(work, search).best.genotype
            measured = outcome(SEARCH, seed, genotype.choices, course, self.truth)
            work.session.run.write_text(GENOTYPE, genotype.to_json())
            return self._with_tau(measured, work, search)

    def rival(self, name: str, of: Outcome) -> Outcome:
        """Run a rival for as long as a search with the same seed has taken."""
        limit = self.plan.times * of.seconds
        if name == RANDOM:
            return self._random(of.seed, limit)
        if name == EVOLUTION:
            return self._evolution(of, limit)
        return self._variant(name, of.seed, limit)

    def _variant(self, name: str, seed: int, limit: float) -> Outcome:
        """Run another search until the time is up; its policy's mode counts."""
        course = Course(self.clock)
        with self._work(variant(self.config, name), name, seed) as work:
            is_fitted = name == PUBLISHED
            search = timed_search(
                work, course, at=self._at_seconds, limit=limit, is_fitted=is_fitted
            )
            choices, note = _answer(search)
            if search.steps_since_warm_up:
                course.note(choices)
            if is_fitted:
                epochs = search.config.warm_up_epochs + search.config.epochs
                note = note or f"{epochs} epochs in {search.steps:,} steps"
            measured = outcome(name, seed, choices, course, self.truth, note=note)
            return self._with_tau(measured, work, search)

    def _random(self, seed: int, limit: float) -> Outcome:
        """Train random networks from scratch; the best by validation counts."""
        course = Course(self.clock)
        with self._work(self.config, RANDOM, seed) as work:
            trainings = Trainings(work, self.truth, course, limit, self.plan.rival_epochs)
            choices = trainings.best_of_all().choices
            count = len(trainings.accuracies)
            note = f"{count} trained for {self.plan.rival_epochs} epochs in the time"
            return outcome(RANDOM, seed, choices, course, self.truth, note=note)

    def _evolution(self, of: Outcome, limit: float) -> Outcome:
        """Train a supernet by uniform sampling, then evolve by its validation loss."""
        course = Course(self.clock)
        epochs = self._uniform_epochs(of, limit)
        with self._work(uniform_training(self.config, epochs), EVOLUTION, of.seed) as work:
            search = timed_search(work, course, limit=limit)
            batches = some_validation_images(work, self.plan.images)

            def cost(position: int) -> float:
                if course.seconds >= limit:
                    raise BudgetSpentError
                genotype = self.truth.genotype(position)
                (loss,) = supernet_losses(search, [genotype], work.session.stoppable(batches))
                loss = loss if math.isfinite(loss) else math.inf
                if loss < min(queries.answers.values(), default=math.inf):
                    course.note(genotype.choices)
                return loss

            queries = Queries(self.truth.table, cost, len(self.truth))
            seed = step_seed(of.seed, "ranking/evolution", 0)
            with course.part("evolution"):
                try:
                    Evolution().search(queries, seed)
                except BudgetSpentError:
                    choices, _ = _answer(search)
            if course.moments:
                choices = dict(course.moments[-1].choices)
            note = f"{epochs} epochs of uniform sampling, {len(queries.answers)} evaluated"
            measured = outcome(EVOLUTION, of.seed, choices, course, self.truth, note=note)
            return self._with_tau(measured, work, search)

    def _uniform_epochs(self, of: Outcome, limit: float) -> int:
        """Return how many epochs fill the share of training, at the search's pace."""
        part, epochs = WARM_UP, self.config.search.warm_up_epochs
        if not epochs:
            part, epochs = POLICY, self.config.search.epochs
        if not of.parts.get(part):
            return 1
        return max(1, int(TRAINING_SHARE * limit * epochs / of.parts[part]))

    def _with_tau(self, measured: Outcome, work: Work, search: SearchStep) -> Outcome:
        """Return the outcome with Kendall's τ, whose time is nobody's."""
        plan = self.plan
        tau = agreement(work, search, self.truth, plan.architectures, plan.images)
        return replace(measured, tau=tau)

    @contextmanager
    def _work(self, config: Config, method: str, seed: int) -> Iterator[Work]:
        seeded = replace(config, seed=seed, genotype=None)
        directory = self.out / f"{method}-{seed}"
        with work_in(seeded, directory, "search", resume=True, quiet=self.quiet) as work:
            work.session = replace(work.session, resume_command=self.command)
            yield work

    @property
    def _at_seconds(self) -> tuple[float, ...]:
        return tuple(60 * minutes for minutes in self.plan.at)


def _answer(search: SearchStep) -> tuple[dict[str, str], str]:
    """Return the policy's mode and a note.

    The mode of a policy that was never updated is the first option of each choice, which says
    nothing: a random architecture takes its place.
    """
    if search.steps_since_warm_up:
        return search.policy.mode(), ""
    drawn = draw_hard(search.policy, 1, generator_for(search.seed, "ranking/untouched", 0))
    (genotype,) = drawn.genotypes()
    return dict(genotype.choices), "stopped in warm-up: a random architecture"
