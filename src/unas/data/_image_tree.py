"""Find the images in a folder that has a folder for each class; nothing in them is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unas.common.errors import UserError
from unas.data._decode import SUFFIXES


class ImageTree(NamedTuple):
    """The images below a folder.

    Args:
        folder: what `names` are relative to.
        names: CLASS/FILE of N images, sorted; the order doesn't depend on the file system.
        labels: int64 [N], the number of each image's class.
        class_names: names of the classes' folders, sorted.
    """

    folder: Path
    names: Sequence[str]
    labels: Tensor
    class_names: tuple[str, ...]


def find_images(dataset: str, folder: Path) -> ImageTree:
    """Return the images in the folders of `folder`, each of which is a class.

    Links are followed wherever they lead: a tree of links is a common way to take a part of
    ImageNet. Names that begin with a dot are passed over, and so is what has no suffix of an image.

    Args:
        dataset: the word that an error line begins with.
        folder: has a folder for each class.

    Raises:
        UserError: it can't be read, has no folders, or one of them has no images.
    """
    loose_images, class_names = _images_and_folders(dataset, folder)
    if not class_names:
        fix = "give each class a folder of images there"
        if loose_images:
            fix = "put them into a folder for each class"
        raise UserError(f"{dataset}: {folder} has {len(loose_images)} images and no folders; {fix}")
    names: list[str] = []
    counts = []
    for class_name in class_names:
        images = _images_of_class(dataset, folder / class_name)
        names += [f"{class_name}/{image}" for image in images]
        counts.append(len(images))
    labels = torch.from_numpy(np.repeat(np.arange(len(class_names)), counts))
    return ImageTree(folder, names, labels, tuple(class_names))


def _images_of_class(dataset: str, folder: Path) -> list[str]:
    images, folders = _images_and_folders(dataset, folder)
    if not images:
        inside = f", only folders (the first is {folders[0]})" if folders else ""
        raise UserError(
            f"{dataset}: {folder} has no images ({', '.join(SUFFIXES)}){inside}; "
            "add some, or remove it"
        )
    return images


def _images_and_folders(dataset: str, folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the images and of the folders in a folder, each sorted."""
    images, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    folders.append(entry.name)
                elif entry.name.lower().endswith(SUFFIXES):
                    images.append(entry.name)
    except OSError as error:
        raise UserError(
            f"{dataset}: {folder} can't be read ({error.strerror}); is it there, and yours?"
        ) from error
    return sorted(images), sorted(folders)


def check_same_classes(dataset: str, train: ImageTree, test: ImageTree) -> None:
    """Refuse a test part whose classes are not those of the training part.

    Raises:
        UserError: names a class that only one of them has.
    """
    _refuse_extra_classes(dataset, train, test)
    _refuse_extra_classes(dataset, test, train)


def _refuse_extra_classes(dataset: str, tree: ImageTree, other: ImageTree) -> None:
    extra = sorted(set(tree.class_names) - set(other.class_names))
    if not extra:
        return
    more = f" and {len(extra) - 1} more" if len(extra) > 1 else ""
    raise UserError(
        f"{dataset}: {tree.folder} has the class {extra[0]!r}{more}, "
        f"but {other.folder} has not; both need the same folders"
    )
