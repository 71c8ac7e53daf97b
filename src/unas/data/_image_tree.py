"""Find the images in a folder that has a folder for each class; nothing in them is read."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unas.common.errors import UserError
from unas.common.text import printable
from unas.data._decode import SUFFIXES


class ImageTree(NamedTuple):
    """The images below a folder.

    Args:
        folder: what `names` are relative to.
        names: FOLDER/FILE of N images, sorted; the order doesn't depend on the file system.
        labels: int64 [N], the number of each image's class.
        class_names: names of the classes' folders in Unicode's NFC, sorted: a folder that was
            copied from a Mac may have its accents as characters of their own.
        left_out: what else lies there, in words.
    """

    folder: Path
    names: Sequence[str]
    labels: Tensor
    class_names: tuple[str, ...]
    left_out: tuple[str, ...]


class Listing(NamedTuple):
    """What is in a folder, but hidden files.

    Args:
        images: their names, sorted.
        folders: their names, sorted.
        others: how many other files there are, by suffix.
    """

    images: list[str]
    folders: list[str]
    others: Counter[str]


def find_images(dataset: str, folder: Path) -> ImageTree:
    """Return the images in the folders of `folder`, each of which is a class.

    Links are followed wherever they lead: a tree of links is a common way to take a part of
    ImageNet. Names that begin with a dot are passed over, and so is what has no suffix of an image
    and what is neither file nor folder.

    Args:
        dataset: the word that an error line begins with.
        folder: has a folder for each class.

    Raises:
        UserError: it can't be read, has no folders, or one of them has no images.
    """
    listing = listing_of(dataset, folder)
    if not listing.folders:
        fix = "give each class a folder of images there"
        if listing.images:
            fix = "put them into a folder for each class"
        count = len(listing.images)
        raise UserError(f"{dataset}: {folder} has {count} images and no folders; {fix}")
    names: list[str] = []
    counts = []
    inner: list[str] = []
    others = Counter(listing.others)
    by_class = _folders_by_class(dataset, folder, listing.folders)
    for name in by_class.values():
        of_class = _images_of_class(dataset, folder / name)
        names += [f"{name}/{image}" for image in of_class.images]
        counts.append(len(of_class.images))
        inner += [f"{name}/{inside}" for inside in of_class.folders]
        others += of_class.others
    labels = torch.from_numpy(np.repeat(np.arange(len(by_class)), counts))
    left_out = _left_out(folder.name, len(listing.images), inner, others)
    return ImageTree(folder, names, labels, tuple(by_class), left_out)


def _left_out(part: str, loose: int, inner: list[str], others: Counter[str]) -> tuple[str, ...]:
    """Return in words what of a part of the data isn't read."""
    says = []
    if loose:
        says.append(f"{counted(loose, 'image')} beside the folders of {part}/")
    if inner:
        first = printable(f"{part}/{inner[0]}")
        says.append(f"{counted(len(inner), 'folder')} within those of classes, such as {first}")
    for suffix, count in sorted(others.items()):
        kind = f"{printable(suffix)} file" if suffix else "file without a suffix"
        says.append(f"{counted(count, kind)} in {part}/")
    return tuple(says)


def counted(count: int, what: str) -> str:
    """Return how many there are: "1 image", "2 files without a suffix"."""
    first, _, rest = what.partition(" without")
    plural = first if count == 1 else f"{first}s"
    return f"{count:,} {plural}{' without' + rest if rest else ''}"


def _folders_by_class(dataset: str, folder: Path, folders: list[str]) -> dict[str, str]:
    """Return the folder of each class by the class's name, sorted by that."""
    by_class: dict[str, str] = {}
    for name in folders:
        class_name = unicodedata.normalize("NFC", name)
        if class_name in by_class:
            raise UserError(
                f"{dataset}: {folder} has two folders {class_name!r}, which differ in how Unicode "
                "writes the accents (NFC, NFD); put their images into one"
            )
        by_class[class_name] = name
    return dict(sorted(by_class.items()))


def _images_of_class(dataset: str, folder: Path) -> Listing:
    listing = listing_of(dataset, folder)
    if not listing.images:
        inside = f", only folders (the first is {listing.folders[0]})" if listing.folders else ""
        raise UserError(
            f"{dataset}: {folder} has no images ({', '.join(SUFFIXES)}){inside}; "
            "add some, or remove it"
        )
    return listing


def listing_of(dataset: str, folder: Path) -> Listing:
    """Return what is in a folder.

    Raises:
        UserError: it can't be read.
    """
    images, folders = [], []
    others: Counter[str] = Counter()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if _is_folder(entry):
                    folders.append(entry.name)
                elif entry.name.lower().endswith(SUFFIXES) and _may_be_opened(entry):
                    images.append(entry.name)
                else:
                    others[os.path.splitext(entry.name)[1].lower()] += 1
    except OSError as error:
        raise UserError(
            f"{dataset}: {folder} can't be read ({error.strerror}); is it there, and yours?"
        ) from error
    return Listing(sorted(images), sorted(folders), others)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circle of links
        return False


def _may_be_opened(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a file, or a link to nothing, which is told when it is read.

    Whoever opens a pipe may wait forever.
    """
    try:
        return entry.is_file() or not os.path.exists(entry.path)
    except OSError:  # a circle of links
        return True


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
