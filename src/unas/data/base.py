"""What a dataset is: labelled images, in a training and a test part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol, Self, TypeVar

import torch
from torch import Tensor

from unas.common.errors import UserError
from unas.compute.seeds import generator_for
from unas.data._crops import Crops


class Reading(Protocol):
    """Images that have been asked for; to drop it is to want them no more."""

    def result(self) -> tuple[Tensor, Tensor]:
        """Wait for them: images uint8 [B, C, H, W], labels int64 [B], on the device of their set.

        Raises:
            UserError: too many of the files can't be read.
        """


class ImageSet(ABC):
    """Labelled images of one size, wherever they are.

    Attributes:
        labels: int64 [N].
        ahead: how many batches are worth asking for before they are needed; 0 where reading takes
            no time.
    """

    labels: Tensor
    ahead: int = 0

    @property
    @abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width)."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Self:
        """Return the same images, read to `device`."""

    @abstractmethod
    def subset(self, indices: Tensor) -> Self:
        """Return the images at `indices`, int64 [M] on any device, in that order."""

    @abstractmethod
    def read(
        self, indices: Tensor, crops: Crops | None = None, *, replace: bool = False
    ) -> Reading:
        """Begin to read the images at `indices`, int64 [B] on the device of `labels`.

        Args:
            indices: which images.
            crops: the part of each image that is scaled to the full size; the whole image when not
                given.
            replace: put another image of the set, always the same one, where one can't be read;
                leave it out otherwise.
        """

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class ImageData:
    """A dataset that has been loaded.

    Args:
        name: what the dataset is called, as the registry knows it.
        train: images to learn from; `split` takes the validation images from them.
        test: images for the final figure alone.
        num_classes: labels are 0 … num_classes - 1.
        mean: mean of each channel over the training images, on a scale where 255 is 1.
        std: standard deviation of each channel, on the same scale.
        class_names: one for each label.

    Raises:
        UserError: the parts do not fit together.
    """

    name: str
    train: ImageSet
    test: ImageSet
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        shape, channels = self.image_shape, len(self.mean)
        if self.test.image_shape != shape:
            test = list(self.test.image_shape)
            raise UserError(
                f"{self.name}: test images are {test}, training images {list(shape)}; make them equal"
            )
        if not channels == len(self.std) == shape[0]:
            counts = f"{channels} means and {len(self.std)} standard deviations"
            raise UserError(f"{self.name}: {counts} for {shape[0]} channels; give one a channel")
        if len(self.class_names) != self.num_classes:
            raise UserError(
                f"{self.name}: {len(self.class_names)} class names for {self.num_classes} classes"
            )
        for part, labels in (("train", self.train.labels), ("test", self.test.labels)):
            if len(labels) == 0:
                raise UserError(f"{self.name}: {part} has no images")
            low, high = int(labels.min()), int(labels.max())
            if low < 0 or high >= self.num_classes:
                bad = low if low < 0 else high
                raise UserError(
                    f"{self.name}: {part} has the label {bad}; labels are 0 … {self.num_classes - 1}"
                )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width)."""
        return self.train.image_shape

    def to(self, device: torch.device) -> ImageData:
        """Return the same images on `device`."""
        return replace(self, train=self.train.to(device), test=self.test.to(device))


@dataclass(frozen=True)
class Dataset(ABC):
    """Something that images can be loaded from: a frozen dataclass of its own options, one file each.

    Loading is the same on every machine and for every seed. `num_classes` and `image_channels` are
    given where they are known without loading.
    """

    num_classes: ClassVar[int | None] = None
    image_channels: ClassVar[int | None] = None

    @abstractmethod
    def load(self, root: Path) -> ImageData:
        """Return the images, on the CPU, and download them to `root` first if they are not there and can be.

        Raises:
            UserError: they are not there and can't be downloaded (the line says which file to put
                where), or what is there is not what it should be.
        """


Images = TypeVar("Images", bound=ImageSet)


def split(image_set: Images, validation_fraction: float, seed: int) -> tuple[Images, Images]:
    """Split at random into (training, validation) images, each class in the same proportion.

    The validation set has round(N · validation_fraction) images, and of each class within one of
    its share. Both keep the order of `image_set`.

    Args:
        image_set: N images.
        validation_fraction: share of the images that go to validation, between 0 and 1.
        seed: the split depends on this and on the labels alone.

    Raises:
        UserError: a part would be empty.
    """
    total = len(image_set)
    count = round(total * validation_fraction) if 0 < validation_fraction < 1 else 0
    if not 0 < count < total:
        raise UserError(
            f"validation_fraction is {validation_fraction}, of {total} images; it must be between 0 and 1 "
            "and leave at least one image to each part"
        )
    shuffled = torch.randperm(total, generator=generator_for(seed, "split", 0))
    by_class = shuffled[image_set.labels.cpu()[shuffled].argsort(stable=True)]
    # Every (total / count)-th image of a list that is sorted by class and random within one.
    picked = ((2 * torch.arange(count) + 1) * total).div(2 * count, rounding_mode="floor")
    is_validation = torch.zeros(total, dtype=torch.bool)
    is_validation[by_class[picked]] = True
    indices = torch.arange(total)
    return image_set.subset(indices[~is_validation]), image_set.subset(indices[is_validation])
