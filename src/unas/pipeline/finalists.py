"""The best candidates trained from scratch for a share of a training; the best of them goes on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from statistics import fmean
from typing import Any

from unas.architecture.genotype import Genotype
from unas.budgets.run_budgets import RunBudgets
from unas.common.errors import UserError
from unas.compute.seeds import step_seed
from unas.config import Config
from unas.nn.lease import give_back
from unas.pipeline.finalist_states import FinalistStates
from unas.pipeline.rungs import Rung, count_steps, most_steps, planned
from unas.pipeline.short_training import ShortTraining
from unas.pipeline.work import Work
from unas.runs.names import FINALISTS, FINALISTS_FORMAT
from unas.runs.progress import Progress, say
from unas.runs.session import CheckpointClock
from unas.searching.candidates import Candidate
from unas.searching.choosing import Chosen


def best_finalist(work: Work, chosen: Chosen) -> Chosen:
    """Train the best candidates; return what was chosen, with the best of them as the best.

    Where there are not two of them, or too few steps for two, nothing is trained, which is said.
    """
    config = work.config
    finalists = finalists_of(chosen, config.choosing.finalists, work.costs.budgets)
    images = len(work.data.train)
    plan = planned(config, len(finalists), images)
    most = most_steps(config, images)
    say(_about(config, plan, len(finalists), most), quiet=work.session.quiet)
    if not plan:
        return chosen
    give_back()  # the search's blocks of memory fit nothing in a training
    finals = Finals(work, plan)
    best = finals.best_of(finalists)
    score = finals.scores[plan[-1].end, best.genotype]
    work.summary |= {
        "finalists": plan[0].networks,
        "finalist_accuracy": score.validation_accuracy,
    }
    return replace(chosen, best=best)


def finalists_of(chosen: Chosen, count: int, budgets: RunBudgets) -> list[Candidate]:
    """Return the best candidate, the policy's mode, and the next best ones.

    Only what has seen all images and is within budgets comes beside the best candidate.

    Args:
        chosen: what was compared.
        count: how many are returned at most.
        budgets: what each network must meet.
    """
    best = chosen.best
    most = max(candidate.images for candidate in chosen.candidates)
    others = []
    for candidate in chosen.candidates:
        is_known = candidate.images == most and math.isfinite(candidate.validation_loss)
        if is_known and candidate is not best:
            others.append(candidate)
    others.sort(key=lambda candidate: (candidate.source != "mode", candidate.validation_loss))
    finalists = [best]
    for candidate in others:
        if len(finalists) < count and budgets.within(candidate.genotype):
            finalists.append(candidate)
    return finalists


def _about(config: Config, plan: Sequence[Rung], found: int, steps: int) -> str:
    """Return in one line what is trained, and why that is less than was asked for."""
    if not plan:
        if found < 2:
            return (
                "no finalists are trained: one candidate is within the budgets and has a finite "
                "loss; raise choosing.candidates, or the limits"
            )
        return (
            f"no finalists are trained: their share of steps, {steps:,}, is too small for two; "
            "raise choosing.finalist_share or training.epochs"
        )
    words = [f"{rung.networks} to step {rung.end:,}" for rung in plan]
    line = f"finalists are trained from scratch: {', the best '.join(words)}"
    if plan[0].networks == config.choosing.finalists:
        return line
    asked = config.choosing.finalists
    return f"{line} ({asked} were asked for; {found} are there, and {steps:,} steps)"


@dataclass(frozen=True)
class FinalistScore:
    """How well a finalist's network has learned.

    Args:
        training_loss: mean over the second half of the rung's steps. All finalists have the same
            batches, and how fast a network learns is taken as a sign of how good it gets (Ru et al.
            2021, arXiv:2006.04492; docs/log.md says how far). Steps that were left out don't count;
            infinite where none is left.
        validation_accuracy: share of the validation images that candidates are compared on; None
            before the last rung.
        validation_loss: mean cross-entropy on them; infinite where it isn't finite, and before.
    """

    training_loss: float
    validation_accuracy: float | None = None
    validation_loss: float = math.inf

    @property
    def order(self) -> tuple[bool, float, float]:
        """What finalists of a rung are sorted by, the best first."""
        if self.validation_accuracy is None:
            return False, self.training_loss, 0.0
        # A network that gives NaN may still be right about a class.
        has_diverged = not math.isfinite(self.validation_loss)
        return has_diverged, -self.validation_accuracy, self.validation_loss


class Finals:
    """Trainings of finalists, rung after rung; finalists.json keeps the results.

    A run that is stopped goes on at the next step, one that is killed at the last that was saved.

    Args:
        work: the run.
        plan: the rungs.

    Attributes:
        scores: by steps and architecture, of what is trained.
    """

    def __init__(self, work: Work, plan: Sequence[Rung]) -> None:
        self.work = work
        self.plan = plan
        self._states = FinalistStates(work)
        self.scores: dict[tuple[int, Genotype], FinalistScore] = {}
        for entry in work.ranks.on_main(self._saved):
            genotype = Genotype(work.config.space.registry_name, entry["choices"])
            self.scores[entry["steps"], genotype] = FinalistScore(
                entry["training_loss"], entry["validation_accuracy"], entry["validation_loss"]
            )

    def best_of(self, finalists: Sequence[Candidate]) -> Candidate:
        """Return the best by validation accuracy in the last rung, by loss where that is equal.

        In the rungs before, those stay that learn fastest.
        """
        work = self.work
        left = list(finalists)
        steps_of = {rung.end: rung.steps for rung in self.plan}
        with Progress(
            "finalists",
            count_steps(self.plan),
            work.session.run.directory,
            start_step=sum(steps_of.get(end, 0) for end, _ in self.scores),
            quiet=work.session.quiet,
        ) as progress:
            for rung in self.plan:
                left = left[: rung.networks]
                for candidate in left:
                    if (rung.end, candidate.genotype) not in self.scores:
                        self._train(candidate.genotype, rung, progress)
                left.sort(key=lambda candidate: self.scores[rung.end, candidate.genotype].order)
        self._states.remove()
        return left[0]

    def _train(self, genotype: Genotype, rung: Rung, progress: Progress) -> None:
        """Train a finalist through a rung, and write its score down."""
        config = self.work.config
        seed = step_seed(config.seed, "choosing/finalist", 0)
        training = ShortTraining(self.work, genotype, self.plan[-1].end, seed)
        losses = self._losses(training, genotype, rung, progress)
        known = [loss for loss in losses[len(losses) // 2 :] if math.isfinite(loss)]
        score = FinalistScore(fmean(known) if known and not training.is_given_up else math.inf)
        if rung is self.plan[-1]:
            scores = training.scores(config.choosing.images)
            score = replace(
                score,
                validation_accuracy=scores.top1,
                validation_loss=scores.loss if math.isfinite(scores.loss) else math.inf,
            )
        self.scores[rung.end, genotype] = score
        self.work.session.run.write_json(FINALISTS, self._to_json())

    def _losses(
        self, training: ShortTraining, genotype: Genotype, rung: Rung, progress: Progress
    ) -> list[float]:
        """Train to the end of a rung, saved now and then; return the losses of its steps."""
        work, before = self.work, progress.step - rung.begin
        start, losses = self._states.restore(genotype, rung, training)
        progress.skip(max(start - rung.begin, 0))
        clock = CheckpointClock(work.config.checkpoint.every_seconds)
        for done, figures in training.steps(start, rung.end):
            if done > rung.begin:
                losses.append(figures["loss"])
                progress.update(before + done, **figures)
            keep = partial(self._states.keep, genotype, rung, done, training, losses)
            work.session.stop_together_if_asked(keep)
            is_last = done == rung.end or training.is_given_up
            if work.ranks.largest(is_last or clock.due(done)):
                keep()
                clock.saved(done)
            if training.is_given_up:
                say(
                    f"a finalist's training ended after {done} of {training.total} steps: too many "
                    "updates in a row were not finite",
                    quiet=work.session.quiet,
                )
        progress.update(before + rung.end)
        return losses

    def _to_json(self) -> dict[str, Any]:
        trainings = []
        for (steps, genotype), score in self.scores.items():
            trainings.append({"steps": steps, **asdict(score), "choices": dict(genotype.choices)})
        rungs = [asdict(rung) for rung in self.plan]
        return {**FINALISTS_FORMAT.head(), "rungs": rungs, "trainings": trainings}

    def _saved(self) -> list[dict[str, Any]]:
        """Return what an earlier process has written down, checked; of other rungs nothing."""
        path = self.work.session.run.path(FINALISTS)
        if not path.exists():
            return []
        try:
            document = FINALISTS_FORMAT.read(path)
            if document["rungs"] != [asdict(rung) for rung in self.plan]:
                return []  # what is within budgets was measured again, and differs
            return [_checked(entry) for entry in document["trainings"]]
        except UserError as error:
            raise UserError(f"{error}; remove the file, and go on") from error
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise UserError(f"{path} is not what unas writes; remove it, and go on") from error


def _checked(entry: Any) -> dict[str, Any]:
    """Return the plain values of an entry of finalists.json."""
    accuracy = entry["validation_accuracy"]
    return {
        "steps": int(entry["steps"]),
        "training_loss": _loss_in(entry, "training_loss"),
        "validation_accuracy": None if accuracy is None else float(accuracy),
        "validation_loss": _loss_in(entry, "validation_loss"),
        "choices": {str(name): str(option) for name, option in entry["choices"].items()},
    }


def _loss_in(entry: Any, name: str) -> float:
    """Return a loss; null is one that isn't finite."""
    return math.inf if entry[name] is None else float(entry[name])
