"""Read the binary version of CIFAR: plain records, from the published archive or from its folder.

torchvision reads the Python version, which is a pickle: loading one can run any code that is in it.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from unas.common.errors import UserError
from unas.data._download import RemoteFile, fetch
from unas.data._images_in_memory import ImagesInMemory
from unas.data.base import ImageData

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_IMAGE_SHAPE = (3, 32, 32)
_PIXEL_BYTES = 3 * 32 * 32
# The published archives unpack to 184 MB: one that unpacks to more than this is no CIFAR.
_UNPACKED_LIMIT_BYTES = 256 * 2**20


@dataclass(frozen=True)
class CifarFormat:
    """How one of the CIFAR sets is published.

    Args:
        name: what the registry calls the dataset.
        archive: the .tar.gz file.
        folder: the folder in the archive.
        train_files: names of the files of training images in the folder, in order.
        test_file: name of the file of test images in the folder.
        label_bytes: bytes of labels before an image's pixels; the last of them is the class.
        class_names: one for each class.
        pickled: names of the Python version's archive and folder.
    """

    name: str
    archive: RemoteFile
    folder: str
    train_files: tuple[str, ...]
    test_file: str
    label_bytes: int
    class_names: tuple[str, ...]
    pickled: tuple[str, str]

    @property
    def files(self) -> tuple[str, ...]:
        """Return the names of all files of images."""
        return (*self.train_files, self.test_file)

    @property
    def record_bytes(self) -> int:
        """Return the size of one image with its labels."""
        return self.label_bytes + _PIXEL_BYTES


def load_cifar(root: Path, cifar: CifarFormat) -> ImageData:
    """Return the images from the folder under `root`, or from the archive there.

    The archive is downloaded if there is neither.

    Raises:
        UserError: there is neither and no network, or a file is not what it should be; the line
            names it.
    """
    source, contents = _read_source(root, cifar)
    missing = [name for name in cifar.files if name not in contents]
    if missing:
        raise UserError(f"{source}: {', '.join(missing)} missing{_remedy(source, cifar)}")
    for name in cifar.files:
        _check_records(contents[name], name, source, cifar)
    return ImageData(
        name=cifar.name,
        train=_images(b"".join(contents[name] for name in cifar.train_files), cifar),
        test=_images(contents[cifar.test_file], cifar),
        num_classes=len(cifar.class_names),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        class_names=cifar.class_names,
    )


def _read_source(root: Path, cifar: CifarFormat) -> tuple[Path, dict[str, bytes]]:
    """Return the folder or the archive under `root`, and the files in it by name."""
    folder = root / cifar.folder
    # os.path: a folder that may not be entered is "not there", and the download says why.
    if os.path.isdir(folder):
        return folder, _read_folder(folder, cifar)
    archive = root / cifar.archive.name
    if not os.path.exists(archive):
        fetch(cifar.name, cifar.archive, archive, _pickled_note(root, cifar))
    return archive, _read_archive(archive, cifar)


def _read_folder(folder: Path, cifar: CifarFormat) -> dict[str, bytes]:
    contents = {}
    try:
        for name in cifar.files:
            path = folder / name
            if path.exists():
                contents[name] = path.read_bytes()
    except OSError as error:
        raise UserError(f"{folder}: can't be read ({error}){_remedy(folder, cifar)}") from error
    return contents


def _read_archive(archive: Path, cifar: CifarFormat) -> dict[str, bytes]:
    """Return the files of images in the archive by name, after all of the archive is checked.

    They are unpacked in memory, and nothing is written.
    """
    try:
        with _LimitedGzip(archive) as unzipped:
            contents = _unpack(unzipped, cifar)
            # tar stops at its own end; the checksum of the gzip file comes after it.
            while unzipped.read(1 << 20):
                pass
    except EOFError as error:
        size = f"{archive.stat().st_size:,} bytes"
        raise UserError(f"{archive}: truncated ({size}){_remedy(archive, cifar)}") from error
    except (OSError, tarfile.TarError, zlib.error) as error:
        raise UserError(
            f"{archive}: not a readable .tar.gz ({error}){_remedy(archive, cifar)}"
        ) from error
    return contents


def _unpack(unzipped: gzip.GzipFile, cifar: CifarFormat) -> dict[str, bytes]:
    names = {f"{cifar.folder}/{name}": name for name in cifar.files}
    contents = {}
    with tarfile.open(fileobj=unzipped, mode="r|") as tar:
        for member in tar:
            name = names.get(member.name.removeprefix("./"))
            if name is None or member.issparse():  # a sparse one of a few bytes can claim any size
                continue
            file = tar.extractfile(member)
            if file is not None:  # None for what is no file
                contents[name] = file.read()
    return contents


def _check_records(content: bytes, name: str, source: Path, cifar: CifarFormat) -> None:
    size = cifar.record_bytes
    if not content or len(content) % size:
        raise UserError(
            f"{source}: {name} truncated ({len(content):,} bytes; "
            f"a multiple of {size:,} was expected){_remedy(source, cifar)}"
        )
    classes = np.frombuffer(content, np.uint8)[cifar.label_bytes - 1 :: size]
    worst = int(classes.max())
    highest = len(cifar.class_names) - 1
    if worst > highest:
        raise UserError(
            f"{source}: {name} has the label {worst}; "
            f"labels are 0 … {highest}{_remedy(source, cifar)}"
        )


def _images(content: bytes, cifar: CifarFormat) -> ImagesInMemory:
    records = np.frombuffer(content, np.uint8).reshape(-1, cifar.record_bytes)
    labels = records[:, cifar.label_bytes - 1].astype(np.int64)
    pixels = records[:, cifar.label_bytes :].reshape(-1, *_IMAGE_SHAPE)
    return ImagesInMemory(torch.from_numpy(pixels.copy()), torch.from_numpy(labels))


def _remedy(source: Path, cifar: CifarFormat) -> str:
    return (
        f"; delete {source} and run again to download it, "
        f"or put {cifar.archive.name} from {PAGE} beside it"
    )


def _pickled_note(root: Path, cifar: CifarFormat) -> str:
    """Return what to add to a message where the Python version is there instead."""
    for name in cifar.pickled:
        if os.path.exists(root / name):
            return (
                f" ({name} there is the Python version, a pickle, "
                "and loading one can run code: it is never read)"
            )
    return ""


class _LimitedGzip(gzip.GzipFile):
    """A gzip file that refuses to unpack without end."""

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        if self.tell() > _UNPACKED_LIMIT_BYTES:
            raise OSError("it unpacks to more than any CIFAR")
        return content
