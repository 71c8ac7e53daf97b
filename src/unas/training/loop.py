"""Training a network from scratch, step after step."""

from __future__ import annotations

from typing import Any

from unas.data import BatchStream
from unas.runs.checkpoints import fitting
from unas.runs.names import TRAINING
from unas.runs.session import Session
from unas.training.step import TrainingStep
from unas.training.watching import Watch, Watched


def training_loop(
    training: TrainingStep, train: BatchStream, session: Session, watch: Watch | None = None
) -> dict[str, Any]:
    """Run a training, or what is left of it; the network of `training` holds the result.

    Args:
        training: the network and its optimiser.
        train: batches of the images to learn from.
        session: where to log and save; its checkpoint, if it is of this phase, is where to go on.
        watch: what tells after each epoch how well the network does; None: nothing.

    Returns:
        Which weights the network has, for summary.json: those of the last step, or the best.
    """
    start = 0
    watched = Watched(training, watch)
    checkpoint = session.run.checkpoint
    if checkpoint is not None and checkpoint.phase == TRAINING:
        with fitting(checkpoint.path):
            watched.load_state_dict(checkpoint.state)
        start = checkpoint.step
    total = training.config.epochs * train.steps_per_epoch
    images = train.batch_size * session.ranks.size
    steps = session.steps(
        TRAINING, total, watched.state_dict, training.skipped, start, images_a_step=images
    )
    for step, log in steps:
        training.runtime.compare_ranks(training.named_tensors, TRAINING, step)
        with training.runtime.computing():
            figures = training(step, *train.batch(step))
        log.end_step()
        epoch, left = divmod(step + 1, train.steps_per_epoch)
        if not left:
            figures |= watched.look(epoch)
        log(training.watched(), **figures)
    training.share_statistics()
    return watched.deliver()
