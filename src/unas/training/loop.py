"""Training a network from scratch, step after step."""

from __future__ import annotations

from unas.data import BatchStream
from unas.runs.checkpoints import fitting
from unas.runs.names import TRAINING
from unas.runs.session import Session
from unas.training.step import TrainingStep


def training_loop(training: TrainingStep, train: BatchStream, session: Session) -> None:
    """Run a training, or what is left of it; the network of `training` holds the result.

    Args:
        training: the network and its optimiser.
        train: batches of all training images.
        session: where to log and save; its checkpoint, if it is of this phase, is where to go on.
    """
    start = 0
    checkpoint = session.run.checkpoint
    if checkpoint is not None and checkpoint.phase == TRAINING:
        with fitting(checkpoint):
            training.load_state_dict(checkpoint.state)
        start = checkpoint.step
    total = training.config.epochs * train.steps_per_epoch
    images = train.batch_size * session.ranks.size
    steps = session.steps(
        TRAINING, total, training.state_dict, training.skipped, start, images_a_step=images
    )
    for step, log in steps:
        training.runtime.compare_ranks(training.named_tensors(), TRAINING, step)
        figures = training(step, *train.batch(step))
        log(training.watched(), **figures)
    training.share_statistics()
