"""Random networks trained from scratch for as long as there is time."""

from __future__ import annotations

import math

import numpy as np

from unas.architecture.genotype import Genotype
from unas.common import documents
from unas.common.errors import UserError
from unas.compute.seeds import step_seed
from unas.lab.ranking.course import Course
from unas.lab.ranking.truth import Truth
from unas.pipeline.rungs import steps_per_epoch
from unas.pipeline.short_training import ShortTraining
from unas.pipeline.work import Work
from unas.runs.names import TRAINING
from unas.runs.progress import Progress

FILE = "networks.json"


class Trainings:
    """Trainings of random architectures on the search's training images, one after the other.

    Args:
        work: the run; a file in its directory keeps what is trained.
        truth: has the architectures.
        course: counts the seconds.
        limit: seconds of the course; a network that isn't validated by then doesn't count.
        epochs: of each training.

    Attributes:
        accuracies: the validation accuracies so far, in the order of the architectures.
    """

    def __init__(self, work: Work, truth: Truth, course: Course, limit: float, epochs: int) -> None:
        self.work = work
        self.truth = truth
        self.course = course
        self.limit = limit
        self.accuracies: list[float] = []
        self._steps = epochs * steps_per_epoch(work.config, len(work.data.train))
        seed = step_seed(work.config.seed, "ranking/random", 0)
        self._order = truth.draw(len(truth), np.random.default_rng(seed)).tolist()
        self._resume()

    def best_of_all(self) -> Genotype:
        """Train until the time is up; return the best by validation accuracy.

        Where there was time for none, it is the first one drawn.
        """
        for number in range(len(self.accuracies), len(self._order)):
            with self.course.part(TRAINING):
                accuracy = self._accuracy(number)
            if accuracy is None or self.course.seconds > self.limit:
                break
            self.accuracies.append(accuracy)
            self.course.note(self._best().choices)
            state = {"accuracies": self.accuracies, "course": self.course.state_dict()}
            self.work.session.run.write_json(FILE, state)
        return self._best()

    def _best(self) -> Genotype:
        best = int(np.argmax(self.accuracies)) if self.accuracies else 0
        return self.truth.genotype(self._order[best])

    def _accuracy(self, number: int) -> float | None:
        """Return the validation accuracy of a network; None if the time is up before."""
        work = self.work
        seed = step_seed(work.config.seed, "ranking/weights", number)
        training = ShortTraining(work, self.truth.genotype(self._order[number]), self._steps, seed)
        directory = work.session.run.directory
        name = f"network {number + 1}"
        with Progress(name, training.total, directory, quiet=work.session.quiet) as progress:
            for done, figures in training.steps():
                progress.update(done, **figures)
                work.session.stop_if_asked()
                if self.course.seconds >= self.limit:
                    return None
        scores = training.scores()
        return scores.top1 if math.isfinite(scores.loss) else 0.0

    def _resume(self) -> None:
        """Go on from what an earlier process has trained."""
        path = self.work.session.run.path(FILE)
        if not path.exists():
            return
        saved = documents.read_json(path)
        try:
            self.accuracies = [float(accuracy) for accuracy in saved["accuracies"]]
            self.course.load_state_dict(saved["course"])
        except (LookupError, TypeError, ValueError) as error:
            raise UserError(f"{path} is not what unas writes; remove it, and go on") from error
