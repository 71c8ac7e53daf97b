"""Augment a batch of byte images on their device: crop, flip, normalise, cutout."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from unas.errors import UserError


@dataclass(frozen=True)
class Augmentation:
    """What is done at random to training images; 0 or false leaves a part out.

    Args:
        crop_padding: pixels of black added to each side before a crop of the old size at a random place.
        flip: mirror each image left to right with probability 1/2.
        cutout: side, in pixels, of a square around a random pixel that is set to the mean colour
            (DeVries & Taylor, arXiv 1708.04552, with the square cut off at the image's border).
    """

    crop_padding: int = 0
    flip: bool = False
    cutout: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            if (value := getattr(self, field.name)) < 0:
                raise UserError(f"augmentation.{field.name} is {value}; it must be 0 (off) or more, in pixels")


class Decisions(NamedTuple):
    """What was drawn for a batch, int64: `offsets` [B, 2] (y, x), `flips` [B] 0 or 1, `centres` [B, 2] (y, x)."""

    offsets: Tensor
    flips: Tensor
    centres: Tensor

    def rows(self, start: int, stop: int) -> Decisions:
        """Return the decisions for the images from `start` to `stop`."""
        return Decisions(*(part[start:stop] for part in self))


def draw(augmentation: Augmentation, batch: int, size: tuple[int, int], generator: torch.Generator) -> Decisions:
    """Draw what happens to `batch` images of `size` (height, width), on the CPU.

    Every part is drawn whether it is used or not, so that switching one off leaves the others' numbers alone.
    """
    height, width = size
    offsets = torch.randint(2 * augmentation.crop_padding + 1, (batch, 2), generator=generator)
    flips = torch.randint(2, (batch,), generator=generator)
    rows = torch.randint(height, (batch,), generator=generator)
    columns = torch.randint(width, (batch,), generator=generator)
    return Decisions(offsets, flips * augmentation.flip, torch.stack((rows, columns), dim=1))


def apply(
    images: Tensor,
    augmentation: Augmentation,
    decisions: Decisions,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Tensor:
    """Do to uint8 images [B, C, H, W] what was drawn, and return them normalised as `normalise` does."""
    # One small copy that the host doesn't wait for.
    drawn = torch.cat((decisions.offsets, decisions.flips[:, None], decisions.centres), dim=1)
    drawn = drawn.to(images.device, non_blocking=True)
    offsets, flips, centres = drawn[:, :2], drawn[:, 2:3], drawn[:, 3:]
    if augmentation.crop_padding or augmentation.flip:
        images = _crop_and_flip(images, augmentation.crop_padding, offsets, flips)
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
    return apply(images, augmentation, draw(augmentation, len(images), (height, width), generator), mean, std)


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Return (images / 255 - mean) / std of uint8 images [B, C, H, W]: float32, channels last."""
    shift, scale = torch.tensor((mean, std)).view(2, -1, 1, 1).to(images.device, non_blocking=True)
    # Times 1/255, not divided by 255: torchvision's v2 transforms round that way.
    scaled = images.to(torch.float32, memory_format=torch.channels_last).mul_(1 / 255)
    return scaled.sub_(shift).div_(scale)


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
