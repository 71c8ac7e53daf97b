"""Fashion-MNIST: 60,000 + 10,000 grey pictures of clothes, 28 by 28."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from unas.common.errors import UserError
from unas.data._download import RemoteFile, fetch
from unas.data._images_in_memory import ImagesInMemory
from unas.data._size import DataSize
from unas.data.base import Dataset, ImageData

PAGE = "https://github.com/zalandoresearch/fashion-mnist"
_REMEDY = f"; delete it and run again to download it, or put the one from {PAGE} there"
_SIDE = 28
_MAX_IMAGES = 60_000
_UNSIGNED_BYTES = 8  # the idx format's code of this type
_CLASS_NAMES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip


@dataclass(frozen=True)
class FashionMnist(Dataset):
    """Fashion-MNIST (Xiao et al., 2017), where torchvision keeps it.

    There are four idx files in `FashionMNIST/raw` of the data root, unpacked or as the published
    `.gz` files.
    """

    num_classes: ClassVar[int | None] = 10
    image_channels: ClassVar[int | None] = 1

    def known_size(self, root: Path) -> DataSize:  # noqa: ARG002  as published
        """See `Dataset`."""
        return DataSize(60_000, 10_000, 10, (1, 28, 28))

    def load(self, root: Path) -> ImageData:
        """Return the images, downloaded to `root` (30 MiB) if they are not there."""
        raw = root / "FashionMNIST" / "raw"
        return ImageData(
            name="fashion_mnist",
            train=_part(raw, "train"),
            test=_part(raw, "t10k"),
            num_classes=10,
            mean=(0.2860,),
            std=(0.3530,),
            class_names=_CLASS_NAMES,
        )


def _part(raw: Path, prefix: str) -> ImagesInMemory:
    images = _read_idx(_find(raw, f"{prefix}-images-idx3-ubyte"), (_SIDE, _SIDE))
    labels_path = _find(raw, f"{prefix}-labels-idx1-ubyte")
    labels = _read_idx(labels_path, ())
    if len(labels) != len(images):
        raise UserError(f"{labels_path}: {len(labels)} labels for {len(images)} images{_REMEDY}")
    return ImagesInMemory(images[:, None], labels.long())


def _find(raw: Path, name: str) -> Path:
    """Return where the file is, unpacked or not, after a download if it is in neither form."""
    # os.path: a folder that may not be entered is "not there", and the download says why.
    if os.path.exists(raw / name):
        return raw / name
    packed = raw / f"{name}.gz"
    if not os.path.exists(packed):
        _download(packed)
    return packed


def _download(path: Path) -> None:
    from torchvision.datasets import FashionMNIST  # takes seconds; knows what is published

    checksums = dict(FashionMNIST.resources)
    remote = RemoteFile(FashionMNIST.mirrors[0] + path.name, checksums[path.name], PAGE)
    others = [name for name in checksums if name != path.name]
    fetch("fashion_mnist", remote, path, f", with {', '.join(others)} beside it")


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _read_idx(path: Path, shape: tuple[int, ...]) -> Tensor:
    """Read an idx file of bytes, uint8 [N, *shape].

    Raises:
        UserError: it is not one, or it is shorter or longer than its own header says.
    """
    try:
        with _open(path) as file:
            count = _read_header(file, shape)
            if not 0 < count <= _MAX_IMAGES:
                raise UserError(
                    f"{path}: not an idx file of bytes {[_MAX_IMAGES, *shape]}{_REMEDY}"
                )
            size = count * math.prod(shape)
            content = file.read(size + 1)  # one more, to notice a file that is too long
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: can't be read ({error}){_REMEDY}") from error
    if len(content) != size:
        state = "truncated" if len(content) < size else "too long"
        raise UserError(f"{path}: {state} ({size:,} bytes of data were expected){_REMEDY}")
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).view(count, *shape)


def _read_header(file: IO[bytes], shape: tuple[int, ...]) -> int:
    """Read the header of an idx file and return how many items of `shape` it promises.

    That is 0 for another header. A header is big-endian: two zero bytes, the type, the number of
    dimensions, then the dimensions.
    """
    num_dimensions = 1 + len(shape)
    magic = _UNSIGNED_BYTES << 8 | num_dimensions
    header_bytes = 4 * (1 + num_dimensions)
    content = file.read(header_bytes).ljust(header_bytes, b"\0")
    header = np.frombuffer(content, dtype=">u4").tolist()
    if header[0] != magic or header[2:] != list(shape):
        return 0
    return int(header[1])
