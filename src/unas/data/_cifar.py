"""Read the binary version of CIFAR: plain records, straight from the published archive or from its folder.

torchvision reads the Python version, which is a pickle: loading one can run any code that is in it.
"""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from unas.common.errors import UserError
from unas.data._download import RemoteFile, fetch
from unas.data._memory import ImagesInMemory
from unas.data.base import ImageData

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_PIXEL_BYTES = 3 * 32 * 32
# The published archives unpack to 184 MB: one that unpacks to more than this is no CIFAR.
_UNPACKED_LIMIT_BYTES = 256 * 2**20


@dataclass(frozen=True)
class CifarFormat:
    """How one of the CIFAR sets is published.

    Args:
        name: what the dataset is called.
        archive: the .tar.gz file.
        folder: the folder in it.
        train_files: files of training images in it, in order.
        test_file: the file of test images.
        label_bytes: bytes of labels before an image's pixels, the last of which is the class.
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
    def record_bytes(self) -> int:
        """Return the size of one image with its labels."""
        return self.label_bytes + _PIXEL_BYTES


def load_cifar(root: Path, cifar: CifarFormat) -> ImageData:
    """Return the images from the folder under `root`, or from the archive there, which is downloaded if need be.

    Raises:
        UserError: there is neither and no network, or a file is not what it should be; the line
            names it.
    """
    folder, archive = root / cifar.folder, root / cifar.archive.name
    # os.path: a folder that may not be entered is "not there", and the download says why.
    if os.path.isdir(folder):
        source, contents = folder, _folder_files(folder, cifar)
    else:
        if not os.path.exists(archive):
            fetch(cifar.name, cifar.archive, archive, _pickled_note(root, cifar))
        source, contents = archive, _archive_files(archive, cifar)
    wanted = (*cifar.train_files, cifar.test_file)
    if missing := [name for name in wanted if name not in contents]:
        raise UserError(f"{source}: {', '.join(missing)} missing{_remedy(source, cifar)}")
    for name in wanted:
        _check_records(contents[name], f"{source}: {name}", source, cifar)
    return ImageData(
        name=cifar.name,
        train=_images((contents[name] for name in cifar.train_files), cifar),
        test=_images([contents[cifar.test_file]], cifar),
        num_classes=len(cifar.class_names),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        class_names=cifar.class_names,
    )


def _folder_files(folder: Path, cifar: CifarFormat) -> dict[str, bytes]:
    try:
        paths = [folder / name for name in (*cifar.train_files, cifar.test_file)]
        return {path.name: path.read_bytes() for path in paths if path.exists()}
    except OSError as error:
        raise UserError(f"{folder}: can't be read ({error}){_remedy(folder, cifar)}") from error


def _archive_files(archive: Path, cifar: CifarFormat) -> dict[str, bytes]:
    """Return the wanted files of the archive by name; nothing is written, and all of the archive is checked."""
    wanted = {f"{cifar.folder}/{name}": name for name in (*cifar.train_files, cifar.test_file)}
    contents: dict[str, bytes] = {}
    try:
        with _LimitedGzip(archive) as unzipped:
            with tarfile.open(fileobj=unzipped, mode="r|") as tar:
                for member in tar:
                    name = wanted.get(member.name.removeprefix("./"))
                    # A sparse member of a few bytes can claim any size.
                    if name and not member.issparse() and (file := tar.extractfile(member)):
                        contents[name] = file.read()
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


def _check_records(content: bytes, label: str, source: Path, cifar: CifarFormat) -> None:
    size = cifar.record_bytes
    if not content or len(content) % size:
        raise UserError(
            f"{label} truncated ({len(content):,} bytes; a multiple of {size:,} was expected){_remedy(source, cifar)}"
        )
    worst = int(np.frombuffer(content, np.uint8)[cifar.label_bytes - 1 :: size].max())
    if worst >= len(cifar.class_names):
        highest = len(cifar.class_names) - 1
        raise UserError(
            f"{label} has the label {worst}; labels are 0 … {highest}{_remedy(source, cifar)}"
        )


def _images(contents: Iterable[bytes], cifar: CifarFormat) -> ImagesInMemory:
    records = np.frombuffer(b"".join(contents), np.uint8).reshape(-1, cifar.record_bytes)
    pixels = records[:, cifar.label_bytes :].reshape(-1, 3, 32, 32)
    labels = records[:, cifar.label_bytes - 1].astype(np.int64)
    return ImagesInMemory(torch.from_numpy(pixels.copy()), torch.from_numpy(labels))


def _remedy(source: Path, cifar: CifarFormat) -> str:
    return f"; delete {source} and run again to download it, or put {cifar.archive.name} from {PAGE} beside it"


def _pickled_note(root: Path, cifar: CifarFormat) -> str:
    found = [name for name in cifar.pickled if os.path.exists(root / name)]
    if not found:
        return ""
    return f" ({found[0]} there is the Python version, a pickle, and loading one can run code: it is never read)"


class _LimitedGzip(gzip.GzipFile):
    """A gzip file that refuses to unpack without end."""

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        if self.tell() > _UNPACKED_LIMIT_BYTES:
            raise OSError("it unpacks to more than any CIFAR")
        return content
