"""How large a data set is: all that a run has to know before it reads images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSize:
    """The size of a data set.

    Args:
        train: number of training images, those for validation included.
        test: number of test images.
        num_classes: labels are 0 … num_classes - 1.
        image_shape: (channels, height, width).
    """

    train: int
    test: int
    num_classes: int
    image_shape: tuple[int, int, int]
