"""Augment a batch of byte images on their device: crop, flip, jitter the colours, normalise, cutout."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from unas.common.errors import UserError
from unas.data._colour import PARTS, draw_jitter, jitter
from unas.data._crops import crop_batch, draw_crops


@dataclass(frozen=True)
class Augmentation:
    """What is done at random to training images; 0 or false leaves a part out.

    Args:
        crop_padding: pixels of black added to each side before a crop of the old size at a random
            place.
        flip: mirror each image left to right with probability 1/2.
        cutout: side, in pixels, of a square around a random pixel that is set to the mean colour
            (DeVries & Taylor, arXiv 1708.04552, with the square cut off at the image's border).
        crop_share: least share of an image's area, from 0 to 1, in a random crop that is scaled to
            the full size (Szegedy et al., arXiv 1409.4842: 0.08).
        brightness: factors of the brightness are from 1 - this, and not below 0, to 1 + this.
        contrast: likewise, of the distance of each colour from the image's mean grey.
        saturation: likewise, of the distance of each colour from its own grey.
        hue: largest turn of the hue, in whole turns; at most 0.5.
    """

    crop_padding: int = 0
    flip: bool = False
    cutout: int = 0
    crop_share: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            unit = ", in pixels" if field.name in {"crop_padding", "cutout"} else ""
            if not (value := getattr(self, field.name)) >= 0:
                raise UserError(
                    f"augmentation.{field.name} is {value}; it must be 0 (off) or more{unit}"
                )
        for name, most in (("crop_share", 1.0), ("hue", 0.5)):
            if getattr(self, name) > most:
                raise UserError(
                    f"augmentation.{name} is {getattr(self, name)}; it must be from 0 (off) to {most}"
                )

    @property
    def strengths(self) -> tuple[float, ...]:
        """Return the strength of each part of the colour jitter, as `unas.data._colour.PARTS` has them."""
        return tuple(getattr(self, part) for part in PARTS)


class Decisions(NamedTuple):
    """What was drawn for a batch.

    Args:
        offsets: int64 [B, 2], (y, x).
        flips: int64 [B], 0 or 1.
        centres: int64 [B, 2], (y, x).
        factors: float32 [B, 4], of the colours; see `unas.data._colour.draw_jitter`.
        orders: int64 [B, 4], of the parts of the colour jitter.
    """

    offsets: Tensor
    flips: Tensor
    centres: Tensor
    factors: Tensor
    orders: Tensor

    def rows(self, start: int, stop: int) -> Decisions:
        """Return the decisions for the images from `start` to `stop`."""
        return Decisions(*(part[start:stop] for part in self))


def draw(
    augmentation: Augmentation, batch: int, size: tuple[int, int], generator: torch.Generator
) -> Decisions:
    """Draw what happens to `batch` images of `size` (height, width), on the CPU; `draw_crops` is apart.

    Every part is drawn whether it is used or not, so that switching one off leaves the others'
    numbers alone.
    """
    height, width = size
    offsets = torch.randint(2 * augmentation.crop_padding + 1, (batch, 2), generator=generator)
    flips = torch.randint(2, (batch,), generator=generator)
    rows = torch.randint(height, (batch,), generator=generator)
    columns = torch.randint(width, (batch,), generator=generator)
    factors, orders = draw_jitter(augmentation.strengths, batch, generator)
    return Decisions(
        offsets, flips * augmentation.flip, torch.stack((rows, columns), dim=1), factors, orders
    )


def apply(
    images: Tensor,
    augmentation: Augmentation,
    decisions: Decisions,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Tensor:
    """Do to uint8 images [B, C, H, W] what was drawn, and return them normalised as `normalise` does.

    The random resized crop is not done here: images are read with it.
    """
    if any(augmentation.strengths) and images.device.type == "cpu" and len(images) > 1:
        # One at a time, a large image and what is made of it stay in the cache.
        single = zip(
            images.unsqueeze(1),
            (decisions.rows(row, row + 1) for row in range(len(images))),
            strict=True,
        )
        return torch.cat([apply(image, augmentation, drawn, mean, std) for image, drawn in single])
    # One small copy that the host doesn't wait for.
    drawn = torch.cat((decisions.offsets, decisions.flips[:, None], decisions.centres), dim=1)
    drawn = drawn.to(images.device, non_blocking=True)
    offsets, flips, centres = drawn[:, :2], drawn[:, 2:3], drawn[:, 3:]
    if augmentation.crop_padding or augmentation.flip:
        images = _crop_and_flip(images, augmentation.crop_padding, offsets, flips)
    if any(augmentation.strengths):
        images = jitter(_unit(images), decisions.factors, decisions.orders, augmentation.strengths)
        images = _standardise(images, mean, std)
    else:
        images = normalise(images, mean, std)
    if augmentation.cutout:
        height, width = images.shape[2:]
        rows = _is_cut(height, centres[:, :1], augmentation.cutout)
        columns = _is_cut(width, centres[:, 1:], augmentation.cutout)
        images.masked_fill_(rows[:, None, :, None] & columns[:, None, None, :], 0.0)
    return images


def augment(
    images: Tensor,
    augmentation: Augmentation,
    generator: torch.Generator,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Tensor:
    """Augment and normalise a batch, equal in distribution to the usual transforms of one image at a time.

    Args:
        images: uint8 [B, C, H, W] on any device.
        augmentation: what is done.
        generator: on the CPU; everything random is drawn from it.
        mean: of each channel, on a scale where 255 is 1.
        std: standard deviation of each channel, on the same scale.

    Returns:
        float32 [B, C, H, W], channels last, on the device of `images`.
    """
    height, width = images.shape[2:]
    decisions = draw(augmentation, len(images), (height, width), generator)
    if augmentation.crop_share:
        images = crop_batch(images, draw_crops(augmentation.crop_share, len(images), generator))
    return apply(images, augmentation, decisions, mean, std)


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Return (images / 255 - mean) / std of uint8 images [B, C, H, W]: float32, channels last."""
    return _standardise(_unit(images), mean, std)


def _unit(images: Tensor) -> Tensor:
    """Return bytes as float32 from 0 to 1, a channel after the other: so a CPU computes with them fastest."""
    # Times 1/255, not divided by 255: torchvision's v2 transforms round that way.
    return images.to(torch.float32, memory_format=torch.contiguous_format).mul_(1 / 255)


def _standardise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    shift, scale = torch.tensor((mean, std)).view(2, -1, 1, 1).to(images.device, non_blocking=True)
    return images.sub_(shift).div_(scale).contiguous(memory_format=torch.channels_last)


def _crop_and_flip(images: Tensor, padding: int, offsets: Tensor, flips: Tensor) -> Tensor:
    """Crop [B, C, H, W] at `offsets` [B, 2] into the padded images, then mirror where `flips` [B, 1] is 1."""
    batch, channels, height, width = images.shape
    padded = F.pad(images, (padding, padding, padding, padding))
    column = torch.arange(width, device=images.device)
    rows = torch.arange(height, device=images.device) + offsets[:, :1]
    columns = torch.where(flips.bool(), width - 1 - column, column) + offsets[:, 1:]
    pixels = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    # One gather does both, as fast on the CPU as a copy.
    pixels = pixels.view(batch, 1, -1).expand(-1, channels, -1)
    return padded.flatten(2).gather(2, pixels).view(batch, channels, height, width)


def _is_cut(length: int, centres: Tensor, side: int) -> Tensor:
    """Return bool [B, length]: positions in the stretch of `side` around `centres` [B, 1]."""
    distance = torch.arange(length, device=centres.device) - centres + side // 2
    return (distance >= 0) & (distance < side)
