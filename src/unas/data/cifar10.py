"""CIFAR-10: 50,000 + 10,000 colour photographs of 32 by 32 in ten classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from unas.data._cifar import PAGE, CifarFormat, load_cifar
from unas.data._download import RemoteFile
from unas.data._size import DataSize
from unas.data.base import Dataset, ImageData

_FORMAT = CifarFormat(
    name="cifar10",
    archive=RemoteFile(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        page=PAGE,
    ),
    folder="cifar-10-batches-bin",
    train_files=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
    test_file="test_batch.bin",
    label_bytes=1,
    class_names=(
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
    ),
    pickled=("cifar-10-python.tar.gz", "cifar-10-batches-py"),
)  # fmt: skip


@dataclass(frozen=True)
class Cifar10(Dataset):
    """CIFAR-10 (Krizhevsky, 2009).

    It is read from `cifar-10-binary.tar.gz` or the folder `cifar-10-batches-bin`.
    """

    num_classes: ClassVar[int | None] = 10
    image_channels: ClassVar[int | None] = 3

    def known_size(self, root: Path) -> DataSize:  # noqa: ARG002  as published
        """See `Dataset`."""
        return DataSize(50_000, 10_000, 10, (3, 32, 32))

    def load(self, root: Path) -> ImageData:
        """Return the images, downloaded to `root` (162 MiB) if they are not there."""
        return load_cifar(root, _FORMAT)
