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
        labels: int64 [N], the number of each one's class.
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
    files, classes = _entries(dataset, folder)
    if not classes:
        fix = (
            "put them into a folder for each class"
            if files
            else "give each class a folder of images there"
        )
        raise UserError(f"{dataset}: {folder} has {len(files)} images and no folders; {fix}")
    names: list[str] = []
    counts = []
    for name in classes:
        files, folders = _entries(dataset, folder / name)
        if not files:
            inside = f", only folders (the first is {folders[0]})" if folders else ""
            kinds = ", ".join(SUFFIXES)
            raise UserError(
                f"{dataset}: {folder / name} has no images ({kinds}){inside}; add some, or remove it"
            )
        names += [f"{name}/{file}" for file in files]
        counts.append(len(files))
    labels = torch.from_numpy(np.repeat(np.arange(len(classes)), counts))
    return ImageTree(folder, names, labels, tuple(classes))


def check_same_classes(dataset: str, train: ImageTree, test: ImageTree) -> None:
    """Refuse a test part whose classes are not those of the training part.

    Raises:
        UserError: names a class that only one of them has.
    """
    for one, other in ((train, test), (test, train)):
        if only := sorted(set(one.class_names) - set(other.class_names)):
            count = f" and {len(only) - 1} more" if len(only) > 1 else ""
            raise UserError(
                f"{dataset}: {one.folder} has the class {only[0]!r}{count}, but {other.folder} has not; "
                "both need the same folders"
            )


def _entries(dataset: str, folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the images and of the folders in a folder, each sorted."""
    files, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    folders.append(entry.name)
                elif entry.name.lower().endswith(SUFFIXES):
                    files.append(entry.name)
    except OSError as error:
        raise UserError(
            f"{dataset}: {folder} can't be read ({error.strerror}); is it there, and yours?"
        ) from error
    return sorted(files), sorted(folders)
