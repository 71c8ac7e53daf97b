"""Random networks trained from scratch for as long as there is time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from unas.architecture.genotype import Genotype
from unas.common import documents
from unas.common.errors import UserError
from unas.compute.seeds import step_seed
from unas.data import split
from unas.lab.ranking.course import Course
from unas.lab.ranking.truth import Truth
from unas.pipeline.batches import EvaluationBatches, training_stream
from unas.pipeline.work import Work
from unas.runs.names import TRAINING
from unas.runs.progress import Progress
from unas.training import TrainingConfig, TrainingStep, evaluate

FILE = "networks.json"
WARM_UP_SHARE = 5  # the learning rate rises over at most a fifth of the epochs


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
        training = work.config.training
        warm_up = min(training.warm_up_epochs, epochs // WARM_UP_SHARE)
        # The search's validation images tell how good a network is; no others are kept back.
        self.training: TrainingConfig = replace(
            training, epochs=epochs, warm_up_epochs=warm_up, validation_fraction=0.0, keep="last"
        )
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
        config = replace(work.config, training=self.training)
        images, validation = split(work.data.train, config.search.validation_fraction, config.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(step_seed(config.seed, "ranking/weights", number))
            network = work.blueprint.network(self.truth.genotype(self._order[number]))
        stream = training_stream(config, replace(work.data, train=images), work.ranks)
        epoch = stream.steps_per_epoch
        training = TrainingStep(network, self.training, work.runtime, config.seed, epoch)
        total = self.training.epochs * epoch
        directory = work.session.run.directory
        name = f"network {number + 1}"
        with Progress(name, total, directory, quiet=work.session.quiet) as progress:
            for step in range(total):
                work.session.stop_if_asked()
                if self.course.seconds >= self.limit:
                    return None
                progress.update(step + 1, **training(step, *stream.batch(step)))
        batches = EvaluationBatches(work.data, validation, work.ranks)
        return evaluate(network, work.session.stoppable(batches), work.runtime).top1

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
