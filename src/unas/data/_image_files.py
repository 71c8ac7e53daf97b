"""Images in files, read by threads when they are asked for."""

from __future__ import annotations

import dataclasses
import os
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unas.compute.hardware import cpu_count
from unas.data._crops import Crops
from unas.data._decode import MAX_PIXELS, read_view
from unas.data._skipped import SkippedFiles
from unas.data.base import ImageSet

_SKIPPED = -1  # in place of an image's index


class Readers:
    """Threads that read images; they start at the first read and end with the last set they serve.

    Pillow and PyTorch let go of Python's lock while they decode and scale, so threads use all
    processors. They share the index of the files, and nothing has to be told to them or cleaned up
    after them, as with processes.

    Args:
        count: number of threads; 0 is one for each processor that this process may use.
    """

    def __init__(self, count: int) -> None:
        self._count = count or cpu_count()
        self._pool: ThreadPoolExecutor | None = None

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Return the threads, started."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="unas-images")
            weakref.finalize(self, self._pool.shutdown, wait=False, cancel_futures=True)
        return self._pool


@dataclass(frozen=True, eq=False)
class ImageFiles(ImageSet):
    """Labelled images in files.

    Args:
        folder: what `names` are relative to.
        names: all files of the folder, also those of other subsets.
        rows: int64 [N], which of `names` these images are.
        labels: int64 [N], on the CPU.
        side: height and width of the images as they are read, in pixels.
        readers: the threads that read them.
        skipped: the files that can't be read.
        max_pixels: largest height × width of a file that is read.
        device: where the images are read to.
    """

    folder: Path
    names: Sequence[str]
    rows: Tensor
    labels: Tensor
    side: int
    readers: Readers
    skipped: SkippedFiles
    max_pixels: int = MAX_PIXELS
    device: torch.device = torch.device("cpu")

    ahead = 2

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width)."""
        return 3, self.side, self.side

    def to(self, device: torch.device | str) -> ImageFiles:
        """Return the same images, read to `device`."""
        return dataclasses.replace(self, device=torch.device(device))

    def subset(self, indices: Tensor) -> ImageFiles:
        """Return the images at `indices`, int64 [M] on any device, in that order."""
        indices = indices.cpu()
        return dataclasses.replace(self, rows=self.rows[indices], labels=self.labels[indices])

    def path(self, index: int) -> str:
        """Return the file of an image."""
        return os.path.join(self.folder, self.names[int(self.rows[index])])

    def _traits(self) -> Iterator[bytes]:
        # All names, but not all sizes: on some network file systems each takes a millisecond.
        names = [self.names[row] for row in self.rows.tolist()]
        yield "\0".join(names).encode(errors="surrogateescape")
        for index in self._some().tolist():
            yield f"{_size(self.path(index))} ".encode()

    def read(
        self, indices: Tensor, crops: Crops | None = None, *, replace: bool = False
    ) -> _BatchOfFiles:
        """Begin to read the images at `indices`, int64 [B] on the CPU.

        With `replace`, the next one of the set that can be read takes the place of an image that
        can't. The set has the order of its files, so it is mostly of the same class.
        """
        shape = (len(indices), self.side, self.side, 3)
        pixels = torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        views = pixels.numpy()
        submit = self.readers.pool.submit
        read_indices = []
        for row, index in enumerate(indices.tolist()):
            num_candidates = len(self) if replace else 1
            future = submit(self._read_one, views, row, crops, index, num_candidates)
            read_indices.append(future)
        return _BatchOfFiles(self, pixels, read_indices)

    def _read_one(
        self,
        views: npt.NDArray[np.uint8],
        row: int,
        crops: Crops | None,
        index: int,
        num_candidates: int,
    ) -> int:
        """Fill a row of the batch with the first image from `index` on that can be read.

        Returns:
            That image's index, or `_SKIPPED` if none of the candidates can be read.
        """
        for candidate in range(index, index + num_candidates):
            candidate_index = candidate % len(self)
            path = self.path(candidate_index)
            if path in self.skipped:
                continue
            try:
                views[row] = read_view(path, self.side, crops, row, self.max_pixels)
            except Exception as error:  # Pillow raises many kinds
                self.skipped.add(path, error)
            else:
                return candidate_index
        return _SKIPPED


def _size(path: str) -> int:
    """Return the size of a file in bytes, -1 where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


@dataclass(frozen=True)
class _BatchOfFiles:
    """A batch that is being read; what of it isn't read yet never is, once it is dropped.

    Args:
        images: the set that the images are of.
        pixels: uint8 [B, side, side, 3], filled by the threads.
        read_indices: the index of the image in each row, or `_SKIPPED`, once it is read.
    """

    images: ImageFiles
    pixels: Tensor
    read_indices: list[Future[int]]

    def result(self) -> tuple[Tensor, Tensor]:
        """Wait for the batch: images uint8 [B, 3, side, side], channels last; labels int64 [B]."""
        indices = torch.tensor([future.result() for future in self.read_indices])
        self.images.skipped.check()
        pixels = self.pixels.permute(0, 3, 1, 2)
        is_read = indices != _SKIPPED
        if not is_read.all():
            pixels = pixels[is_read]
            indices = indices[is_read]
        labels = self.images.labels[indices]
        device = self.images.device
        return pixels.to(device, non_blocking=True), labels.to(device, non_blocking=True)

    def __del__(self) -> None:
        for future in self.read_indices:
            future.cancel()
