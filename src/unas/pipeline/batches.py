"""The batches of a run: those that it learns from, and those that it is tested with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unas.compute.ranks import ONE_PROCESS, Ranks
from unas.compute.seeds import generator_for
from unas.config import Config
from unas.data import (
    BatchStream,
    ImageData,
    ImageSet,
    evaluation_batches,
    num_evaluation_batches,
    split,
    validation_count,
)

EVALUATION_BATCH = 256
MOST_WATCHED = 2000  # images, after each epoch


def search_streams(
    config: Config, data: ImageData, ranks: Ranks = ONE_PROCESS
) -> tuple[BatchStream, BatchStream]:
    """Return the training and the validation batches of a search."""
    search = config.search
    share = ranks.share(search.batch_size, "search.batch_size")
    train, validation = split(data.train, search.validation_fraction, config.seed)
    train_stream = BatchStream(
        train,
        share,
        search.augmentation,
        data.normalisation,
        seed=config.seed,
        stream="search/train",
        ranks=ranks,
        small=search.small_images,
    )
    validation_stream = BatchStream(
        validation,
        share,
        None,
        data.normalisation,
        seed=config.seed,
        stream="search/validation",
        ranks=ranks,
    )
    return train_stream, validation_stream


def drawn(
    config: Config, validation: ImageSet, most: int, stream: str = "choosing/images"
) -> ImageSet:
    """Return so many of the search's validation images at most, drawn by the run's seed; 0: all.

    A part of images that are sorted by class would be of a few classes.

    Args:
        config: the run.
        validation: all of the images.
        most: how many; 0 for all.
        stream: which draw; candidates are compared on the images of the default one.
    """
    generator = generator_for(config.seed, stream, 0)
    order = torch.randperm(len(validation), generator=generator)
    return validation.subset(order[: most or None].to(validation.labels.device))


def training_parts(config: Config, data: ImageData) -> tuple[ImageSet, ImageSet | None]:
    """Return the images that a training from scratch learns from, and those kept for validation."""
    fraction = config.training.validation_fraction
    if fraction == 0:
        return data.train, None
    return split(data.train, fraction, config.seed)


def count_trained(config: Config, images: int) -> int:
    """Return how many of the training images a training from scratch learns from."""
    fraction = config.training.validation_fraction
    return images - validation_count(images, fraction) if fraction else images


def count_searched(config: Config, images: int) -> int:
    """Return how many of the training images a search's weights learn from."""
    return images - validation_count(images, config.search.validation_fraction)


def training_stream(config: Config, data: ImageData, ranks: Ranks = ONE_PROCESS) -> BatchStream:
    """Return the batches of a training from scratch."""
    training = config.training
    images, _ = training_parts(config, data)
    return BatchStream(
        images,
        ranks.share(training.batch_size, "training.batch_size"),
        training.augmentation,
        data.normalisation,
        seed=config.seed,
        stream="training/train",
        ranks=ranks,
    )


@dataclass(frozen=True)
class EvaluationBatches(Iterable[tuple[Tensor, Tensor]]):
    """The evaluation batches of one rank, read anew each time: all, or every N-th of N ranks.

    Args:
        data: says how images are normalised.
        images: what is evaluated.
        ranks: who shares the batches.
    """

    data: ImageData
    images: ImageSet
    ranks: Ranks

    def __len__(self) -> int:
        return num_evaluation_batches(self.images, EVALUATION_BATCH, self.ranks)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        normalisation = self.data.normalisation
        yield from evaluation_batches(self.images, EVALUATION_BATCH, normalisation, self.ranks)


def watched_batches(data: ImageData, images: ImageSet, ranks: Ranks) -> EvaluationBatches:
    """Return the evaluation batches that are looked at after each epoch.

    They are of up to 2,000 images, spread evenly over all: images may be sorted by class.
    """
    count = min(len(images), MOST_WATCHED)
    spread = torch.arange(count, device=images.labels.device) * len(images) // count
    return EvaluationBatches(data, images.subset(spread), ranks)


def first_images(data: ImageData, images: ImageSet, count: int = 64) -> Tensor:
    """Return the first few images, normalised."""
    batch, _ = next(evaluation_batches(images, count, data.normalisation))
    return batch
