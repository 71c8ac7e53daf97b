"""Random resized crops: which part of an image is scaled to the full size (Szegedy et al., arXiv 1409.4842)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_ATTEMPTS = 10
_NARROWEST, _WIDEST = 3 / 4, 4 / 3


class Box(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


class Crops(NamedTuple):
    """What was drawn for B images before their sizes are known.

    Args:
        shares: float64 [B, attempts], share of the image's area.
        ratios: float64 [B, attempts], width / height.
        places: float64 [B, 2], where the crop lies (down, across), from 0 to 1.
    """

    shares: Tensor
    ratios: Tensor
    places: Tensor

    def rows(self, start: int, stop: int) -> Crops:
        """Return the crops of the images from `start` to `stop`."""
        return Crops(*(part[start:stop] for part in self))

    def box(self, row: int, height: int, width: int) -> Box:
        """Return the crop of an image of a size: the first of its attempts that fits, else as much as may be.

        The distribution is that of torchvision's RandomResizedCrop with ratios from 3/4 to 4/3.
        """
        for share, ratio in zip(self.shares[row].tolist(), self.ratios[row].tolist(), strict=True):
            area = share * height * width
            size = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
            if 0 < size[0] <= height and 0 < size[1] <= width:
                down, across = self.places[row].tolist()
                # A place is below 1, but its product with a large number may round up.
                top = min(int(down * (height - size[0] + 1)), height - size[0])
                left = min(int(across * (width - size[1] + 1)), width - size[1])
                return Box(top, left, *size)
        size = min(height, round(width / _NARROWEST)), min(width, round(height * _WIDEST))
        return Box((height - size[0]) // 2, (width - size[1]) // 2, *size)


def draw_crops(least_share: float, batch: int, generator: torch.Generator) -> Crops:
    """Draw crops for `batch` images of any size that take at least `least_share` of the area, on the CPU."""
    drawn = torch.rand(batch, 2 * _ATTEMPTS + 2, dtype=torch.float64, generator=generator)
    shares = least_share + (1 - least_share) * drawn[:, :_ATTEMPTS]
    ratios = _NARROWEST * (_WIDEST / _NARROWEST) ** drawn[:, _ATTEMPTS : 2 * _ATTEMPTS]
    return Crops(shares, ratios, drawn[:, 2 * _ATTEMPTS :])


def crop_batch(images: Tensor, crops: Crops) -> Tensor:
    """Return the crop of each image, scaled to the size of the whole; uint8 [B, C, H, W] on any device."""
    from torchvision.transforms.v2 import functional  # takes a second to import

    height, width = images.shape[2:]
    boxes = [crops.box(row, height, width) for row in range(len(images))]
    scaled = [
        functional.resized_crop(image, *box, size=[height, width], antialias=True)
        for image, box in zip(images, boxes, strict=True)
    ]
    return torch.stack(scaled)
