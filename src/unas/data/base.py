"""What a dataset is: labelled images, in a training and a test part."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Protocol, Self, TypeVar

import torch
from torch import Tensor

from unas.common.errors import UserError
from unas.common.text import is_one_line
from unas.compute.seeds import generator_for
from unas.data._crops import Crops
from unas.data._size import DataSize

_MOST_LOOKED_AT = 4096  # images of a set, for its fingerprint


class PendingBatch(Protocol):
    """A batch of images that has been asked for; to drop it is to want it no more."""

    def result(self) -> tuple[Tensor, Tensor]:
        """Wait for the batch: images uint8 [B, C, H, W], labels int64 [B], on their set's device.

        Raises:
            UserError: too many of the files can't be read.
        """


class ImageSet(ABC):
    """Labelled images of one size, in memory or in files.

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
    ) -> PendingBatch:
        """Begin to read the images at `indices`.

        Args:
            indices: int64 [B], on the device of `labels`.
            crops: the part of each image that is scaled to the full size; None for whole images.
            replace: whether another image of the set takes the place of one that can't be read,
                always the same one; the batch is smaller otherwise.
        """

    def __len__(self) -> int:
        return len(self.labels)

    def fingerprint(self) -> str:
        """Return a digest that another set of images hardly has; it takes no time to speak of."""
        digest = hashlib.blake2b(self.labels.cpu().numpy().tobytes(), digest_size=16)
        for trait in self._traits():
            digest.update(trait)
        return digest.hexdigest()

    def _traits(self) -> Iterator[bytes]:
        """Yield what tells these images from others, beside their labels."""
        yield from ()

    def _some(self) -> Tensor:
        """Return the indices of up to 4,096 images, spread evenly, int64 on the CPU."""
        count = min(len(self), _MOST_LOOKED_AT)
        return torch.arange(count) * len(self) // max(count, 1)


@dataclass(frozen=True)
class Normalisation:
    """What makes the pixels of each channel vary by 1 around 0.

    Args:
        mean: mean of each channel, on a scale where 255 is 1.
        std: standard deviation of each channel, on that scale.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ImageData:
    """A dataset that has been loaded.

    Args:
        name: what the registry calls the dataset.
        train: images to learn from; `split` takes the validation images from them.
        test: images for the final figure alone.
        num_classes: labels are 0 … num_classes - 1.
        mean: mean of each channel over the training images, on a scale where 255 is 1.
        std: standard deviation of each channel over the training images, on that scale.
        class_names: one for each label.
        test_from: where the test images come from, in words: "val/", "train/ (a fifth)".
        test_share: the share of the images that test, where they were not published as test images
            but taken at random; None otherwise.
        left_out: what lies beside the images and isn't read, in words, with how much it is.

    Raises:
        UserError: the fields do not fit together.
    """

    name: str
    train: ImageSet
    test: ImageSet
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    test_from: str = ""
    test_share: float | None = None
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._check_shapes()
        self._check_class_names()
        self._check_labels("train", self.train.labels)
        self._check_labels("test", self.test.labels)

    def _check_class_names(self) -> None:
        if len(self.class_names) != self.num_classes:
            raise UserError(
                f"{self.name}: {len(self.class_names)} class names for {self.num_classes} classes"
            )
        if self.num_classes < 2:
            raise UserError(
                f"{self.name}: there is one class, {self.class_names[0]!r}; "
                "give two or more, for a network to tell apart"
            )
        for class_name in self.class_names:
            # They are written to files, one a line.
            if not is_one_line(class_name):
                raise UserError(
                    f"{self.name}: the class {class_name!r} has a line end, a control character or "
                    "no Unicode in its name; rename it"
                )

    def _check_shapes(self) -> None:
        train_shape = list(self.train.image_shape)
        test_shape = list(self.test.image_shape)
        if test_shape != train_shape:
            raise UserError(
                f"{self.name}: test images are {test_shape}, training images {train_shape}; "
                "make them equal"
            )
        channels = train_shape[0]
        if not len(self.mean) == len(self.std) == channels:
            counts = f"{len(self.mean)} means and {len(self.std)} standard deviations"
            raise UserError(f"{self.name}: {counts} for {channels} channels; give one a channel")

    def _check_labels(self, part: str, labels: Tensor) -> None:
        if len(labels) == 0:
            raise UserError(f"{self.name}: {part} has no images")
        lowest = int(labels.min())
        worst = lowest if lowest < 0 else int(labels.max())
        if not 0 <= worst < self.num_classes:
            raise UserError(
                f"{self.name}: {part} has the label {worst}; labels are 0 … {self.num_classes - 1}"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width)."""
        return self.train.image_shape

    @property
    def size(self) -> DataSize:
        """Return how many images and classes there are."""
        return DataSize(len(self.train), len(self.test), self.num_classes, self.image_shape)

    @property
    def normalisation(self) -> Normalisation:
        """Return how images are normalised before a network sees them."""
        return Normalisation(self.mean, self.std)

    def to(self, device: torch.device) -> ImageData:
        """Return the same images on `device`."""
        return replace(self, train=self.train.to(device), test=self.test.to(device))


@dataclass(frozen=True)
class Dataset(ABC):
    """Something that images can be loaded from: a frozen dataclass of its own options.

    Loading is the same on every machine and for every seed.

    Attributes:
        num_classes: how many classes there are, where that is known without loading.
        image_channels: how many channels an image has, where that is known without loading.
    """

    num_classes: ClassVar[int | None] = None
    image_channels: ClassVar[int | None] = None

    def known_size(self, root: Path) -> DataSize | None:  # noqa: ARG002  what is published is known
        """Return the size of the data set; None where only its files say it.

        Nothing is downloaded or loaded.

        Args:
            root: where the files are, if they are anywhere.
        """
        return None

    @abstractmethod
    def load(self, root: Path) -> ImageData:
        """Return the images, on the CPU.

        Args:
            root: where the files are; what is published is downloaded to it if it is not there.

        Raises:
            UserError: the files are not there and can't be downloaded (the line says which file to
                put where), or one is not what it should be.
        """


AnyImageSet = TypeVar("AnyImageSet", bound=ImageSet)


def validation_count(total: int, validation_fraction: float) -> int:
    """Return how many of so many images go to validation.

    Args:
        total: N.
        validation_fraction: share of the images that go to validation, between 0 and 1.

    Raises:
        UserError: a part would be empty.
    """
    is_share = 0 < validation_fraction < 1  # NaN is none either
    count = round(total * validation_fraction) if is_share else 0
    if not 0 < count < total:
        raise UserError(
            f"validation_fraction is {validation_fraction}, of {total} images; "
            "it must be between 0 and 1 and leave at least one image to each part"
        )
    return count


def split(
    image_set: AnyImageSet, validation_fraction: float, seed: int
) -> tuple[AnyImageSet, AnyImageSet]:
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
    count = validation_count(total, validation_fraction)
    shuffled = torch.randperm(total, generator=generator_for(seed, "split", 0))
    shuffled_labels = image_set.labels.cpu()[shuffled]
    by_class = shuffled[shuffled_labels.argsort(stable=True)]
    # The list is sorted by class and random within one, so every (total / count)-th image of it,
    # from the middle of the first stretch on, is a random share of each class.
    places = ((2 * torch.arange(count) + 1) * total).div(2 * count, rounding_mode="floor")
    is_validation = torch.zeros(total, dtype=torch.bool)
    is_validation[by_class[places]] = True
    indices = torch.arange(total)
    return image_set.subset(indices[~is_validation]), image_set.subset(indices[is_validation])
