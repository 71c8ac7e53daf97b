"""Batches by number: what is in batch t depends on the seed and t alone, so a run can go on from any step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import torch
from torch import Tensor

from unas.common.errors import UserError
from unas.compute.seeds import generator_for
from unas.data._augment import Augmentation, Decisions, apply, draw, normalise
from unas.data._crops import draw_crops
from unas.data.base import ImageSet, Reading


class BatchStream:
    """An endless stream of training batches; every epoch is a new random order of the images.

    The images that don't fill a last batch are left out of an epoch. With several ranks, each takes
    its own rows of one global batch, whose images and augmentation don't depend on the number of
    ranks.

    Where reading images takes time, those of the next batches are asked for ahead. That changes no
    batch.

    Args:
        image_set: the images, on the device that the batches are to be on.
        batch_size: images of one rank's batch.
        augmentation: what is done to them; None for nothing.
        mean: of each channel, on a scale where 255 is 1.
        std: standard deviation of each channel, on the same scale.
        seed: the run's seed.
        stream: the stream's name; streams of different names are independent.
        rank: which rows of the global batch, 0 ≤ rank < world_size.
        world_size: number of ranks.

    Raises:
        UserError: there are not enough images for one batch.
    """

    def __init__(
        self,
        image_set: ImageSet,
        batch_size: int,
        augmentation: Augmentation | None,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        *,
        seed: int,
        stream: str,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        global_batch = batch_size * world_size
        if batch_size < 1:
            raise UserError(f"batch_size is {batch_size}; it must be 1 or more")
        if global_batch > len(image_set):
            ranks = (
                f" on each of {world_size} ranks ({global_batch} together)"
                if world_size > 1
                else ""
            )
            most = len(image_set) // world_size
            fix = f"make it {most} or less" if most else "use fewer ranks"
            raise UserError(
                f"batch_size is {batch_size}{ranks}, but {stream} has {len(image_set)} images; {fix}"
            )
        self.image_set = image_set
        self.batch_size = batch_size
        self.steps_per_epoch = len(image_set) // global_batch
        self._augmentation = augmentation or Augmentation()
        self._mean, self._std = mean, std
        self._seed, self._stream = seed, stream
        self._global_batch = global_batch
        self._rows = (rank * batch_size, (rank + 1) * batch_size)
        self._order: tuple[int, Tensor] = (
            -1,
            torch.empty(0),
        )  # the newest epoch's, only to save time
        self._asked: dict[int, tuple[Reading, Decisions]] = {}

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return batch number `step`: images float32 [B, C, H, W] channels last, labels int64 [B].

        Raises:
            UserError: too many images can't be read.
        """
        wanted = range(step, step + 1 + self.image_set.ahead)
        self._asked = {number: self._asked.get(number) or self._ask(number) for number in wanted}
        reading, decisions = self._asked.pop(step)
        images, labels = reading.result()
        return apply(images, self._augmentation, decisions, self._mean, self._std), labels

    def batches(self, start: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches number `start` to `stop` - 1."""
        for step in range(start, stop):
            yield self.batch(step)

    def _ask(self, step: int) -> tuple[Reading, Decisions]:
        """Begin to read the images of a batch, and draw what happens to them."""
        epoch, position = divmod(step, self.steps_per_epoch)
        start, stop = self._rows
        first = position * self._global_batch
        indices = self._epoch_order(epoch)[first + start : first + stop]
        generator = generator_for(self._seed, f"{self._stream}/augmentation", step)
        size = self.image_set.image_shape[1:]
        decisions = draw(self._augmentation, self._global_batch, size, generator).rows(start, stop)
        crops = None
        if share := self._augmentation.crop_share:
            generator = generator_for(self._seed, f"{self._stream}/crops", step)
            crops = draw_crops(share, self._global_batch, generator).rows(start, stop)
        return self.image_set.read(indices, crops, replace=True), decisions

    def _epoch_order(self, epoch: int) -> Tensor:
        """Return the epoch's order of all images, int64 [N] on the device of their labels."""
        if self._order[0] != epoch:
            generator = generator_for(self._seed, f"{self._stream}/order", epoch)
            order = torch.randperm(len(self.image_set), generator=generator)
            self._order = (epoch, order.to(self.image_set.labels.device))
        return self._order[1]


def evaluation_batches(
    image_set: ImageSet,
    batch_size: int,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    *,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield all images in order, only normalised, as `BatchStream.batch` does; the last batch may be smaller.

    Images that can't be read are left out. With several ranks, each gets every `world_size`-th
    batch.

    Raises:
        UserError: too many images can't be read.
    """
    everything = torch.arange(len(image_set), device=image_set.labels.device)
    starts = range(rank * batch_size, len(everything), world_size * batch_size)
    waiting = deque(everything[first : first + batch_size] for first in starts)
    asked: deque[Reading] = deque()
    while waiting or asked:
        while waiting and len(asked) <= image_set.ahead:
            asked.append(image_set.read(waiting.popleft()))
        images, labels = asked.popleft().result()
        if len(labels):
            yield normalise(images, mean, std), labels
