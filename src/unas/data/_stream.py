"""Batches by number: what is in batch t depends on the seed and t alone.

So a run can go on from any step, and nothing about its batches has to be saved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

from unas.common.errors import UserError
from unas.compute.ranks import ONE_PROCESS, Ranks
from unas.compute.seeds import generator_for
from unas.data._augment import Augmentation, Decisions, apply, draw, normalise
from unas.data._crops import draw_crops
from unas.data._growing import SmallImages
from unas.data.base import ImageSet, Normalisation, PendingBatch


class BatchStream:
    """An endless stream of training batches; every epoch is a new random order of the images.

    The images that don't fill a last batch are left out of an epoch. With several ranks, each takes
    its own rows of one global batch, whose images and augmentation don't depend on the number of
    ranks.

    Where reading images takes time, those of the next batches are asked for ahead. That changes no
    batch.

    Args:
        image_set: the images, on the device that the batches are to be on.
        batch_size: how many images one rank's batch has.
        augmentation: what is done at random to the images; None for nothing.
        normalisation: of the augmented images.
        seed: the run's seed.
        stream: the stream's name; streams of different names are independent.
        ranks: who shares the global batch, and which rows are this rank's.
        small: which epochs have smaller images, made of the augmented ones; None: none have.

    Raises:
        UserError: there are not enough images for one batch.
    """

    def __init__(
        self,
        image_set: ImageSet,
        batch_size: int,
        augmentation: Augmentation | None,
        normalisation: Normalisation,
        *,
        seed: int,
        stream: str,
        ranks: Ranks = ONE_PROCESS,
        small: SmallImages | None = None,
    ) -> None:
        _check_batch_size(batch_size, ranks.size, stream, len(image_set))
        self.image_set = image_set
        self.batch_size = batch_size
        self._global_batch = batch_size * ranks.size
        self.steps_per_epoch = len(image_set) // self._global_batch
        self._augmentation = augmentation or Augmentation()
        self._normalisation = normalisation
        self._seed = seed
        self._stream = stream
        self.small = small
        self._start = ranks.rank * batch_size
        self._stop = self._start + batch_size
        # The order of the newest epoch is kept only to save time.
        self._newest_epoch = -1
        self._newest_order = torch.empty(0, dtype=torch.int64)
        self._pending: dict[int, tuple[PendingBatch, Decisions]] = {}

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return batch number `step`: images float32 [B, C, H, W] channels last, labels int64 [B].

        Raises:
            UserError: too many images can't be read.
        """
        pending = {}
        for number in range(step, step + 1 + self.image_set.ahead):
            pending[number] = self._pending.get(number) or self._begin(number)
        # After a jump to another step, the batches that were asked for in vain are dropped here.
        self._pending = pending
        reading, decisions = pending.pop(step)
        images, labels = reading.result()
        mean, std = self._normalisation.mean, self._normalisation.std
        images = apply(images, self._augmentation, decisions, mean, std)
        if self.small is not None and step < self.small.epochs * self.steps_per_epoch:
            images = self.small.of(images)
        return images, labels

    def _begin(self, step: int) -> tuple[PendingBatch, Decisions]:
        """Begin to read the images of a batch, and draw what happens to them."""
        indices = self._global_indices(step)[self._start : self._stop]
        image_size = self.image_set.image_shape[1:]
        # All rows of the global batch are drawn on every rank, so that they don't depend on how
        # many ranks share them.
        generator = generator_for(self._seed, f"{self._stream}/augmentation", step)
        decisions = draw(self._augmentation, self._global_batch, image_size, generator)
        crops = None
        if self._augmentation.crop_share:
            generator = generator_for(self._seed, f"{self._stream}/crops", step)
            crops = draw_crops(self._augmentation.crop_share, self._global_batch, generator)
            crops = crops.rows(self._start, self._stop)
        reading = self.image_set.read(indices, crops, replace=True)
        return reading, decisions.rows(self._start, self._stop)

    def _global_indices(self, step: int) -> Tensor:
        """Return which images are in a step's global batch, int64 on the device of their labels."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start = position * self._global_batch
        return self._order(epoch)[start : start + self._global_batch]

    def _order(self, epoch: int) -> Tensor:
        """Return the epoch's order of all images, int64 [N] on the device of their labels."""
        if self._newest_epoch != epoch:
            generator = generator_for(self._seed, f"{self._stream}/order", epoch)
            order = torch.randperm(len(self.image_set), generator=generator)
            self._newest_order = order.to(self.image_set.labels.device)
            self._newest_epoch = epoch
        return self._newest_order


def _check_batch_size(batch_size: int, world_size: int, stream: str, num_images: int) -> None:
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}; it must be 1 or more")
    global_batch = batch_size * world_size
    if global_batch <= num_images:
        return
    ranks = f" on each of {world_size} ranks ({global_batch} together)" if world_size > 1 else ""
    most = num_images // world_size
    fix = f"make it {most} or less" if most else "use fewer ranks"
    raise UserError(
        f"batch_size is {batch_size}{ranks}, but {stream} has {num_images} images; {fix}"
    )


def evaluation_batches(
    image_set: ImageSet,
    batch_size: int,
    normalisation: Normalisation,
    ranks: Ranks = ONE_PROCESS,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all images in order, only normalised, in batches like those of `BatchStream.batch`.

    The last batch may be smaller; an image that would be alone in it, of which BatchNorm may have
    no statistics, joins the batch before. Images that can't be read are left out. With several
    ranks, each gets every N-th batch of N.

    Raises:
        UserError: too many images can't be read.
    """
    waiting = deque(_index_batches(image_set, batch_size, ranks))
    pending: deque[PendingBatch] = deque()
    while waiting or pending:
        while waiting and len(pending) <= image_set.ahead:
            pending.append(image_set.read(waiting.popleft()))
        images, labels = pending.popleft().result()
        if len(labels):  # none, where no image of the batch can be read
            yield normalise(images, normalisation.mean, normalisation.std), labels


def num_evaluation_batches(image_set: ImageSet, batch_size: int, ranks: Ranks = ONE_PROCESS) -> int:
    """Return how many batches `evaluation_batches` yields where every image can be read."""
    return len(_index_batches(image_set, batch_size, ranks))


def _index_batches(image_set: ImageSet, batch_size: int, ranks: Ranks) -> list[Tensor]:
    """Return which images are in each evaluation batch of a rank."""
    indices = torch.arange(len(image_set), device=image_set.labels.device)
    batches = list(torch.split(indices, batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1 < batch_size:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches[ranks.rank :: ranks.size]
