"""Images that are all in memory, on one device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unas.common.errors import UserError
from unas.data._crops import Crops, crop_batch
from unas.data.base import ImageSet


@dataclass(frozen=True, eq=False)
class ImagesInMemory(ImageSet):
    """Labelled images, all in memory on one device.

    Args:
        images: uint8 [N, C, H, W].
        labels: int64 [N].

    Raises:
        UserError: a tensor has another type or shape.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != torch.uint8:
            raise UserError(
                f"images are {_type_and_shape(self.images)}; they must be torch.uint8 [N, C, H, W]"
            )
        num_images = len(self.images)
        if self.labels.shape != (num_images,) or self.labels.dtype != torch.int64:
            raise UserError(
                f"labels are {_type_and_shape(self.labels)}; "
                f"they must be torch.int64 [{num_images}], one an image"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Return (channels, height, width)."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def to(self, device: torch.device | str) -> ImagesInMemory:
        """Return the same images on `device`."""
        return ImagesInMemory(self.images.to(device), self.labels.to(device))

    def subset(self, indices: Tensor) -> ImagesInMemory:
        """Return the images at `indices`, int64 [M] on any device, in that order."""
        indices = indices.to(self.images.device)
        return ImagesInMemory(self.images[indices], self.labels[indices])

    def read(
        self,
        indices: Tensor,
        crops: Crops | None = None,
        *,
        replace: bool = False,  # noqa: ARG002  (every image can be read)
    ) -> _ReadyBatch:
        """Return the images at `indices`; nothing has to be waited for."""
        images = self.images.index_select(0, indices)
        if crops is not None:
            images = crop_batch(images, crops)
        return _ReadyBatch(images, self.labels.index_select(0, indices))

    def _traits(self) -> Iterator[bytes]:
        some = self._some().to(self.images.device)
        yield self.images[some].cpu().numpy().tobytes()


@dataclass(frozen=True)
class _ReadyBatch:
    images: Tensor
    labels: Tensor

    def result(self) -> tuple[Tensor, Tensor]:
        return self.images, self.labels


def _type_and_shape(tensor: Tensor) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"
