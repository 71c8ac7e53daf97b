"""Random resized crops: parts of images, scaled to full size (Szegedy et al., arXiv 1409.4842)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

_ATTEMPTS = 10
_NARROWEST = 3 / 4  # width / height
_WIDEST = 4 / 3


class Box(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


class Crops(NamedTuple):
    """What was drawn for the crops of B images before the images' sizes are known.

    Args:
        shares: float64 [B, attempts], share of the image's area.
        ratios: float64 [B, attempts], width / height.
        places: float64 [B, 2], where the crop lies (down, across), from 0 to 1.
    """

    shares: Float64[Tensor, "images attempts"]
    ratios: Float64[Tensor, "images attempts"]
    places: Float64[Tensor, "images 2"]

    def rows(self, start: int, stop: int) -> Crops:
        """Return the crops of the images from `start` to `stop`."""
        return Crops(
            self.shares[start:stop],
            self.ratios[start:stop],
            self.places[start:stop],
        )

    def box(self, row: int, height: int, width: int) -> Box:
        """Return the crop of image number `row`, which is height × width.

        That is the first of its attempts that fits into the image, else the largest part in the
        middle whose ratio is allowed. The distribution is that of torchvision's RandomResizedCrop
        with ratios from 3/4 to 4/3.
        """
        attempts = zip(self.shares[row].tolist(), self.ratios[row].tolist(), strict=True)
        for share, ratio in attempts:
            area = share * height * width
            crop_height = round(math.sqrt(area / ratio))
            crop_width = round(math.sqrt(area * ratio))
            if 0 < crop_height <= height and 0 < crop_width <= width:
                down, across = self.places[row].tolist()
                top = _place(down, height - crop_height)
                left = _place(across, width - crop_width)
                return Box(top, left, crop_height, crop_width)
        crop_height = min(height, round(width / _NARROWEST))
        crop_width = min(width, round(height * _WIDEST))
        top = (height - crop_height) // 2
        left = (width - crop_width) // 2
        return Box(top, left, crop_height, crop_width)


def _place(share: float, room: int) -> int:
    """Return one of the places 0 … room: the one that `share`, from 0 to below 1, falls on."""
    # A share is below 1, but its product with a large number may round up.
    return min(int(share * (room + 1)), room)


def draw_crops(least_share: float, batch: int, generator: torch.Generator) -> Crops:
    """Draw crops for `batch` images of any size, on the CPU.

    Args:
        least_share: the least share of an image's area that an attempt takes.
        batch: B.
        generator: on the CPU.
    """
    drawn = torch.rand(batch, 2 * _ATTEMPTS + 2, dtype=torch.float64, generator=generator)
    shares = least_share + (1 - least_share) * drawn[:, :_ATTEMPTS]
    # Uniform in the logarithm, so that wide and narrow crops are equally likely.
    ratios = _NARROWEST * (_WIDEST / _NARROWEST) ** drawn[:, _ATTEMPTS : 2 * _ATTEMPTS]
    return Crops(shares, ratios, places=drawn[:, 2 * _ATTEMPTS :])


def crop_batch(
    images: UInt8[Tensor, "images channels height width"], crops: Crops
) -> UInt8[Tensor, "images channels height width"]:
    """Return each image's crop, scaled to the whole's size; uint8 [B, C, H, W] on any device."""
    from torchvision.transforms.v2 import functional  # takes a second to import

    height, width = images.shape[2:]
    scaled = []
    for row, image in enumerate(images):
        box = crops.box(row, height, width)
        scaled.append(functional.resized_crop(image, *box, size=[height, width], antialias=True))
    return torch.stack(scaled)
