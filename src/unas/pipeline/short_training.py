"""A network from scratch for a short time, on the images that a search learns from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from unas.architecture.genotype import Genotype
from unas.compute.scores import Scores
from unas.data import split
from unas.pipeline.batches import EvaluationBatches, drawn, training_stream
from unas.pipeline.work import Work
from unas.training import TrainingConfig, TrainingStep, evaluate

Figures = dict[str, float]
WARM_UP_SHARE = 5  # the learning rate rises over at most a fifth of whole epochs


class ShortTraining:
    """A training on the search's training images, scored on its validation images.

    Args:
        work: the run.
        genotype: the architecture.
        total: the number of its steps, a whole schedule of the learning rate.
        seed: of the network's first weights.

    Attributes:
        total: the same.

    Raises:
        UserError: there are not enough images for one batch.
    """

    def __init__(self, work: Work, genotype: Genotype, total: int, seed: int) -> None:
        self._work = work
        self.total = total
        config = work.config
        images, self._validation = split(
            work.data.train, config.search.validation_fraction, config.seed
        )
        data = replace(work.data, train=images)
        whole = replace(config, training=_short(config.training, 1))
        self._stream = training_stream(whole, data, work.ranks)
        epochs, rest = divmod(total, self._stream.steps_per_epoch)
        if rest:
            epochs = 1  # of the schedule, which counts no images
        training = _short(config.training, epochs)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = work.blueprint.network(genotype)
        self._step = TrainingStep(network, training, work.runtime, config.seed, total // epochs)

    def steps(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Figures]]:
        """Train; yield after each step how many are done, and its figures.

        A training that leaves out too many updates in a row ends there.

        Args:
            start: the steps that are done.
            stop: those that are done at the end; None: all.
        """
        for step in range(start, self.total if stop is None else stop):
            if self.is_given_up:
                return
            runtime = self._work.runtime
            runtime.compare_ranks(self._step.named_tensors, "finalist", step)
            with runtime.computing():
                figures = self._step(step, *self._stream.batch(step))
            yield step + 1, figures

    @property
    def is_given_up(self) -> bool:
        """Whether it ended early, for too many of its updates in a row were left out."""
        return self._step.skipped.are_too_many

    def state_dict(self) -> dict[str, Any]:
        """Return all that the training needs to go on; rank 0's is that of all."""
        self._step.share_statistics()
        return self._step.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self._step.load_state_dict(dict(state))

    def scores(self, most: int = 0) -> Scores:
        """Return how well the network does on the validation images, on so many at most; 0: all."""
        self._step.share_statistics()
        images = drawn(self._work.config, self._validation, most)
        batches = EvaluationBatches(self._work.data, images, self._work.ranks)
        stoppable = self._work.session.stoppable(batches)
        return evaluate(self._step.network, stoppable, self._work.runtime)


def _short(training: TrainingConfig, epochs: int) -> TrainingConfig:
    """Return how a network is trained for so many epochs; the search's validation images tell."""
    warm_up = min(training.warm_up_epochs, epochs // WARM_UP_SHARE)
    return replace(
        training, epochs=epochs, warm_up_epochs=warm_up, validation_fraction=0.0, keep="last"
    )
