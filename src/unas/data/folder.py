"""Images of your own: a folder for each class."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from unas.common.errors import UserError
from unas.common.text import printable
from unas.data._decode import MAX_PIXELS
from unas.data._image_files import ImageFiles, Readers
from unas.data._image_tree import (
    ImageTree,
    Listing,
    check_same_classes,
    counted,
    find_images,
    listing_of,
)
from unas.data._skipped import SkippedFiles
from unas.data.base import Dataset, ImageData, split

# The first that is there holds the test part; how they are written (Val, VAL) doesn't matter.
_TEST_FOLDERS = ("val", "valid", "validation", "test")


@dataclass(frozen=True)
class ImageFolder(Dataset):
    """Images in the folders of the data root, train/CLASS/ and val/CLASS/.

    Those of val/ are for the final figure; it may also be called valid/, validation/ or test/.
    JPEG, PNG, WebP and BMP files are read when they are needed and become RGB; they are turned
    upright as their EXIF data say, and transparency is dropped. Without augmentation, the shorter
    side is scaled to size · 256 / 224 and the middle is cut out. Classes have the names of their
    folders.

    Args:
        size: side of the images as networks see them, in pixels.
        test_fraction: share of train/ that is the test part where there is no val/ and no test/;
            always the same images.
        max_corrupt: largest share of files that may be unreadable; each is named in the log and
            another one of the training images takes its place.
        max_pixels: largest height × width of an image as it is stored; a larger one counts as
            unreadable, because it may be made to fill the memory.
        workers: threads that read files; 0 is one for each processor. They change no result.
        mean: mean of red, green and blue, on a scale where 255 is 1; those of ImageNet unless
            changed.
        std: standard deviation of red, green and blue, on a scale where 255 is 1; those of ImageNet
            unless changed.

    Raises:
        UserError: a field is out of its range.
    """

    size: int = 224
    test_fraction: float = 0.2
    max_corrupt: float = 0.01
    max_pixels: int = MAX_PIXELS
    workers: int = 0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    image_channels: ClassVar[int | None] = 3

    def __post_init__(self) -> None:
        # The upper ends are for configurations of somebody else: images and threads fit into any
        # memory.
        limits = (("size", 8, 2048), ("workers", 0, 1024), ("max_pixels", 64, 2**32))
        for name, least, most in limits:
            value = getattr(self, name)
            if not least <= value <= most:
                raise UserError(f"dataset.{name} is {value}; it must be from {least} to {most}")
        if not 0 <= self.max_corrupt < 1:
            raise UserError(
                f"dataset.max_corrupt is {self.max_corrupt}; it is a share, from 0 to below 1"
            )
        if not 0 < self.test_fraction < 1:
            raise UserError(
                f"dataset.test_fraction is {self.test_fraction}; it is a share, between 0 and 1"
            )
        if not all(math.isfinite(value) for value in self.mean):
            raise UserError(f"dataset.mean is {self.mean}; each must be finite")
        if not all(0 < value < math.inf for value in self.std):
            raise UserError(f"dataset.std is {self.std}; each must be more than 0, and finite")

    def load(self, root: Path) -> ImageData:
        """Return the images, none of which is read yet."""
        return self._load("folder", root)

    def _load(self, name: str, root: Path) -> ImageData:
        """Return the images for the dataset that the registry calls `name`."""
        if not os.path.isdir(root / "train"):  # False also where looking is forbidden
            raise UserError(
                f"{name}: {root} has no folder train; put images at {root}/train/CLASS/, "
                "or give another folder with --data-root or UNAS_DATA"
            )
        train_tree = find_images(name, root / "train")
        left_out = train_tree.left_out
        beside = listing_of(name, root)
        test_folder = _test_folder(root, beside.folders)
        if test_folder is None:
            train, test = self._split(name, self._images(name, train_tree)[0])
            test_from, test_share = f"train/ ({_share(self.test_fraction)})", self.test_fraction
        else:
            test_tree = find_images(name, test_folder)
            check_same_classes(name, train_tree, test_tree)
            train, test = self._images(name, train_tree, test_tree)
            test_from, test_share = f"{test_folder.name}/", None
            left_out += test_tree.left_out
        return ImageData(
            name,
            train,
            test,
            num_classes=len(train_tree.class_names),
            mean=self.mean,
            std=self.std,
            class_names=train_tree.class_names,
            test_from=test_from,
            test_share=test_share,
            left_out=left_out + _unread(beside, test_folder),
        )

    def _images(self, name: str, *trees: ImageTree) -> list[ImageFiles]:
        """Return the images of each tree; they share threads, and a count of unreadable files."""
        readers = Readers(self.workers)
        total = sum(len(tree.names) for tree in trees)
        skipped = SkippedFiles(name, total, self.max_corrupt)
        return [
            ImageFiles(
                folder=tree.folder,
                names=tree.names,
                rows=torch.arange(len(tree.names)),
                labels=tree.labels,
                side=self.size,
                readers=readers,
                skipped=skipped,
                max_pixels=self.max_pixels,
            )
            for tree in trees
        ]

    def _split(self, name: str, images: ImageFiles) -> tuple[ImageFiles, ImageFiles]:
        if not 0 < round(len(images) * self.test_fraction) < len(images):
            raise UserError(
                f"{name}: {images.folder} has {len(images)} images, of which dataset.test_fraction "
                f"{self.test_fraction} leaves none to test or none to train; change it, or give "
                "more images"
            )
        # Seed 0 whatever the run's seed: the test images are always the same ones.
        return split(images, self.test_fraction, seed=0)


def _test_folder(root: Path, folders: list[str]) -> Path | None:
    """Return the folder that holds the test part; None where none does."""
    by_lower_case = {folder.lower(): folder for folder in folders}
    for name in _TEST_FOLDERS:
        if name in by_lower_case:
            return root / by_lower_case[name]
    return None


def _unread(root: Listing, test_folder: Path | None) -> tuple[str, ...]:
    """Return the folders of the data root that nothing is read from, and its loose images."""
    read = {"train", None if test_folder is None else test_folder.name}
    folders = [f"{printable(folder)}/" for folder in root.folders if folder not in read]
    loose = [f"{counted(len(root.images), 'image')} beside train/"] if root.images else []
    return (*folders, *loose)


def _share(fraction: float) -> str:
    """Return a share in words."""
    return "a fifth" if fraction == 0.2 else f"{100 * fraction:.3g} %"
