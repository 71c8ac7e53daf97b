"""Digits: the 1,797 real 8 by 8 images that ship with scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from unas.data._images_in_memory import ImagesInMemory
from unas.data._size import DataSize
from unas.data.base import Dataset, ImageData, split


@dataclass(frozen=True)
class Digits(Dataset):
    """Handwritten digits with one channel of 8 by 8, nothing to download.

    The test part of the UCI "Optical Recognition of Handwritten Digits" set (Alpaydin & Kaynak,
    1998), as scikit-learn has it. It comes in one part: a fixed fifth of each class is the test set
    here.
    """

    num_classes: ClassVar[int | None] = 10
    image_channels: ClassVar[int | None] = 1

    def known_size(self, root: Path) -> DataSize:  # noqa: ARG002  as published
        """See `Dataset`."""
        return DataSize(1_438, 359, 10, (1, 8, 8))

    def load(self, root: Path) -> ImageData:  # noqa: ARG002  (scikit-learn brings its own files)
        """Return the images; `root` is not needed."""
        from sklearn.datasets import load_digits  # takes a second to import

        pixels, labels = load_digits(return_X_y=True)  # pixels are from 0 to 16
        scaled = torch.from_numpy(pixels) * (255 / 16)
        images = scaled.round().to(torch.uint8).view(-1, 1, 8, 8)
        everything = ImagesInMemory(images, torch.from_numpy(labels).long())
        # Seed 0 whatever the run's seed: the test images are always the same ones.
        train, test = split(everything, 0.2, seed=0)
        return ImageData(
            name="digits",
            train=train,
            test=test,
            num_classes=10,
            mean=(0.3051,),
            std=(0.3759,),
            class_names=tuple("0123456789"),
            test_from="all images (a fifth)",
            test_share=0.2,
        )
