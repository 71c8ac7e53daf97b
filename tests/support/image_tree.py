"""A small tree of real JPEG files, as ImageNet has it: crops of the two photographs that come with
scikit-learn.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images


@functools.cache
def photographs() -> tuple[Image.Image, Image.Image]:
    """Return china.jpg and flower.jpg, 640 × 427 pixels."""
    china, flower = (Image.fromarray(pixels) for pixels in load_sample_images().images)
    return china, flower


def wnid(number: int) -> str:
    """Return the name of a class's folder, in the manner of WordNet."""
    return f"n{number + 1:08d}"


def write_image_tree(
    root: Path, classes: int = 4, per_class: int = 8, size: int = 96, val_per_class: int = 2
) -> None:
    """Write root/train/WNID/*.JPEG and root/val/WNID/*.JPEG, always the same files.

    Even classes are of one photograph and odd ones of the other, each from a band of it of its own,
    so that a network can tell them apart. No two images are the same.

    Args:
        root: gets train and val.
        classes: number of folders in each.
        per_class: images of a class in train.
        size: shorter side of an image in pixels, at most 320; the longer one is a third more.
        val_per_class: images of a class in val.
    """
    width, height = (size * 4 + 2) // 3, size
    numbers = np.random.default_rng(0)
    for label in range(classes):
        photograph = photographs()[label % 2]
        band = (photograph.width - width) * (label // 2) // max((classes - 1) // 2, 1)
        for part, count in (("train", per_class), ("val", val_per_class)):
            folder = root / part / wnid(label)
            folder.mkdir(parents=True)
            for number in range(count):
                left = min(band + int(numbers.integers(16)), photograph.width - width)
                top = int(numbers.integers(photograph.height - height + 1))
                crop = photograph.crop((left, top, left + width, top + height))
                crop.save(folder / f"{wnid(label)}_{number}.JPEG", quality=90)
