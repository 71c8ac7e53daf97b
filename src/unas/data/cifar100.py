"""CIFAR-100: 50,000 + 10,000 colour photographs of 32 by 32 in a hundred classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from unas.data._cifar import PAGE, CifarFormat, load_cifar
from unas.data._download import RemoteFile
from unas.data._size import DataSize
from unas.data.base import Dataset, ImageData

_CLASS_NAMES = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle",
    "bottle", "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle",
    "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch",
    "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox",
    "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
    "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom",
    "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
    "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road",
    "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake",
    "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
    "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle",
    "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
)  # fmt: skip

_FORMAT = CifarFormat(
    name="cifar100",
    archive=RemoteFile(
        url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        page=PAGE,
    ),
    folder="cifar-100-binary",
    train_files=("train.bin",),
    test_file="test.bin",
    label_bytes=2,  # the superclass, then the class
    class_names=_CLASS_NAMES,
    pickled=("cifar-100-python.tar.gz", "cifar-100-python"),
)


@dataclass(frozen=True)
class Cifar100(Dataset):
    """CIFAR-100 (Krizhevsky, 2009).

    It is read from `cifar-100-binary.tar.gz` or the folder `cifar-100-binary`.
    """

    num_classes: ClassVar[int | None] = 100
    image_channels: ClassVar[int | None] = 3

    def known_size(self, root: Path) -> DataSize:  # noqa: ARG002  as published
        """See `Dataset`."""
        return DataSize(50_000, 10_000, 100, (3, 32, 32))

    def load(self, root: Path) -> ImageData:
        """Return the images with their fine labels.

        They are downloaded to `root` (161 MiB) if they are not there.
        """
        return load_cifar(root, _FORMAT)
