"""Images in files, read by threads when they are asked for."""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from unas.compute.hardware import cpu_count
from unas.data._crops import Crops
from unas.data._decode import read_view
from unas.data._skipped import SkippedFiles
from unas.data.base import ImageSet

_SKIPPED = -1


class Readers:
    """Threads that read images; they are started when first needed, and end with the last set that has them.

    Pillow and PyTorch let go of Python's lock while they decode and scale, so threads use all
    processors. They share the index of the files, and nothing has to be told to them or cleaned up
    after them, as with processes.

    Args:
        count: of threads; 0 is one for each processor that this process may use.
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
        names: of all files, also those of other subsets.
        rows: int64 [N], which of `names` these images are.
        labels: int64 [N].
        side: of the images as they are read, in pixels.
        readers: who reads them.
        skipped: what is known of files that can't be read.
        device: where they are read to; `labels` stay on the CPU.
    """

    folder: Path
    names: Sequence[str]
    rows: Tensor
    labels: Tensor
    side: int
    readers: Readers
    skipped: SkippedFiles
    device: torch.device = torch.device("cpu")

    ahead = 2

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width)."""
        return 3, self.side, self.side

    def to(self, device: torch.device | str) -> ImageFiles:
        """Return the same images, read to `device`."""
        return replace(self, device=torch.device(device))

    def subset(self, indices: Tensor) -> ImageFiles:
        """Return the images at `indices`, int64 [M], in that order."""
        indices = indices.cpu()
        return replace(self, rows=self.rows[indices], labels=self.labels[indices])

    def path(self, index: int) -> str:
        """Return the file of an image."""
        return os.path.join(self.folder, self.names[int(self.rows[index])])

    def read(self, indices: Tensor, crops: Crops | None = None, *, replace: bool = False) -> _Batch:
        """Begin to read the images at `indices`, int64 [B] on the CPU.

        An image that can't be read is replaced by the next one of the set that can, which is mostly
        of the same
        class: the set has the order of its files.
        """
        shape = (len(indices), self.side, self.side, 3)
        pixels = torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        array = pixels.numpy()

        def fill(position: int, index: int) -> int:
            for candidate in range(index, index + (len(self) if replace else 1)):
                candidate %= len(self)  # noqa: PLW2901
                path = self.path(candidate)
                if path in self.skipped:
                    continue
                try:
                    array[position] = read_view(path, self.side, crops, position)
                except Exception as error:  # Pillow raises many kinds
                    self.skipped.add(path, error)
                else:
                    return candidate
            return _SKIPPED

        submit = self.readers.pool.submit
        found = [submit(fill, position, index) for position, index in enumerate(indices.tolist())]
        return _Batch(self, pixels, found)


@dataclass(frozen=True)
class _Batch:
    """A batch that is being read: uint8 [B, side, side, 3], and which images it gets; read no further once dropped."""

    images: ImageFiles
    pixels: Tensor
    found: list[Future[int]]

    def result(self) -> tuple[Tensor, Tensor]:
        """Wait for it: images uint8 [B, 3, side, side], channels last in memory, labels int64 [B]."""
        found = torch.tensor([future.result() for future in self.found])
        self.images.skipped.check()
        pixels, is_read = self.pixels.permute(0, 3, 1, 2), found != _SKIPPED
        if not is_read.all():
            pixels, found = pixels[is_read], found[is_read]
        labels = self.images.labels[found]
        return pixels.to(self.images.device, non_blocking=True), labels.to(
            self.images.device, non_blocking=True
        )

    def __del__(self) -> None:
        for future in self.found:
            future.cancel()
