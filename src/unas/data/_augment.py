"""Augment a batch of byte images on their device: crop, flip, jitter colours, normalise, cutout."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Int64, UInt8
from torch import Tensor

from unas.common.errors import UserError
from unas.data._colour import PARTS, draw_jitter, jitter
from unas.data._crops import crop_batch, draw_crops

_IN_PIXELS = ("crop_padding", "cutout")
_LARGEST = {"crop_share": 1.0, "hue": 0.5}


@dataclass(frozen=True)
class Augmentation:
    """What is done at random to training images; 0 or false leaves a part out.

    Args:
        crop_padding: pixels of black added to each side before a crop of the old size at a random
            place.
        flip: whether each image is mirrored left to right with probability 1/2.
        cutout: side, in pixels, of a square around a random pixel that is set to the mean colour
            (DeVries & Taylor, arXiv 1708.04552, with the square cut off at the image's border).
        crop_share: least share of an image's area, from 0 to 1, in a random crop that is scaled to
            the full size (Szegedy et al., arXiv 1409.4842: 0.08).
        brightness: each image's brightness is multiplied by a factor from 1 - this, or 0 if that
            is negative, to 1 + this.
        contrast: the distance of each colour from the image's mean grey is multiplied by a factor
            from 1 - this, or 0 if that is negative, to 1 + this.
        saturation: the distance of each colour from its own grey is multiplied by a factor from
            1 - this, or 0 if that is negative, to 1 + this.
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
            value = getattr(self, field.name)
            unit = ", in pixels" if field.name in _IN_PIXELS else ""
            if not value >= 0:  # NaN is refused too
                raise UserError(
                    f"augmentation.{field.name} is {value}; it must be 0 (off) or more{unit}"
                )
        for name, largest in _LARGEST.items():
            value = getattr(self, name)
            if value > largest:
                raise UserError(
                    f"augmentation.{name} is {value}; it must be from 0 (off) to {largest}"
                )

    @property
    def strengths(self) -> tuple[float, ...]:
        """Return the strength of each part of the colour jitter, in the order of its `PARTS`."""
        return tuple(getattr(self, part) for part in PARTS)


class Decisions(NamedTuple):
    """What was drawn for a batch.

    Args:
        offsets: int64 [B, 2], the crop's upper left corner (y, x) in the padded image.
        flips: int64 [B], 1 where the image is mirrored, else 0.
        centres: int64 [B, 2], the pixel (y, x) that cutout is around.
        factors: float32 [B, 4], of the colour jitter; see `draw_jitter`.
        orders: int64 [B, 4], of the colour jitter; see `draw_jitter`.
    """

    offsets: Int64[Tensor, "images 2"]
    flips: Int64[Tensor, " images"]
    centres: Int64[Tensor, "images 2"]
    factors: Float32[Tensor, "images 4"]
    orders: Int64[Tensor, "images 4"]

    def rows(self, start: int, stop: int) -> Decisions:
        """Return the decisions for the images from `start` to `stop`."""
        return Decisions(*(tensor[start:stop] for tensor in self))


def draw(
    augmentation: Augmentation, batch: int, size: tuple[int, int], generator: torch.Generator
) -> Decisions:
    """Draw what happens to `batch` images of `size` (height, width), on the CPU.

    Every part is drawn whether it is used or not, so that switching one off leaves the others'
    numbers alone. Random resized crops are drawn apart, by `draw_crops`.
    """
    height, width = size
    offsets = torch.randint(2 * augmentation.crop_padding + 1, (batch, 2), generator=generator)
    flips = torch.randint(2, (batch,), generator=generator)
    rows = torch.randint(height, (batch,), generator=generator)
    columns = torch.randint(width, (batch,), generator=generator)
    factors, orders = draw_jitter(augmentation.strengths, batch, generator)
    return Decisions(
        offsets=offsets,
        flips=flips * augmentation.flip,
        centres=torch.stack((rows, columns), dim=1),
        factors=factors,
        orders=orders,
    )


def apply(
    images: UInt8[Tensor, "images channels height width"],
    augmentation: Augmentation,
    decisions: Decisions,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Float32[Tensor, "images channels height width"]:
    """Do to uint8 images [B, C, H, W] what was drawn, and return them as `normalise` does.

    The random resized crop is not done here: images are read with it.
    """
    if len(images) < 2 or images.device.type != "cpu" or not any(augmentation.strengths):
        return _apply_at_once(images, augmentation, decisions, mean, std)
    # One at a time, a large image and what is made of it stay in the processor's cache.
    augmented = []
    for row in range(len(images)):
        image = images[row : row + 1]
        drawn = decisions.rows(row, row + 1)
        augmented.append(_apply_at_once(image, augmentation, drawn, mean, std))
    return torch.cat(augmented)


def _apply_at_once(
    images: UInt8[Tensor, "images channels height width"],
    augmentation: Augmentation,
    decisions: Decisions,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Float32[Tensor, "images channels height width"]:
    # One small copy, which the host doesn't wait for.
    places = torch.cat((decisions.offsets, decisions.flips[:, None], decisions.centres), dim=1)
    places = places.to(images.device, non_blocking=True)
    offsets, flips, centres = places[:, :2], places[:, 2:3], places[:, 3:]
    if augmentation.crop_padding or augmentation.flip:
        images = _crop_and_flip(images, augmentation.crop_padding, offsets, flips)
    pixels = _unit(images)
    if any(augmentation.strengths):
        pixels = jitter(pixels, decisions.factors, decisions.orders, augmentation.strengths)
    pixels = _standardise(pixels, mean, std)
    if augmentation.cutout:
        height, width = pixels.shape[2:]
        rows = _is_cut(height, centres[:, :1], augmentation.cutout)
        columns = _is_cut(width, centres[:, 1:], augmentation.cutout)
        pixels.masked_fill_(rows[:, None, :, None] & columns[:, None, None, :], 0.0)
    return pixels


def augment(
    images: UInt8[Tensor, "images channels height width"],
    augmentation: Augmentation,
    generator: torch.Generator,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Float32[Tensor, "images channels height width"]:
    """Augment and normalise a batch.

    The outcome has the distribution of torchvision's transforms of one image at a time.

    Args:
        images: uint8 [B, C, H, W] on any device.
        augmentation: what is done.
        generator: on the CPU; everything random is drawn from it.
        mean: mean of each channel, on a scale where 255 is 1.
        std: standard deviation of each channel, on a scale where 255 is 1.

    Returns:
        float32 [B, C, H, W], channels last, on the device of `images`.
    """
    height, width = images.shape[2:]
    decisions = draw(augmentation, len(images), (height, width), generator)
    if augmentation.crop_share:
        images = crop_batch(images, draw_crops(augmentation.crop_share, len(images), generator))
    return apply(images, augmentation, decisions, mean, std)


def normalise(
    images: UInt8[Tensor, "images channels height width"],
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> Float32[Tensor, "images channels height width"]:
    """Return (images / 255 - mean) / std of uint8 images [B, C, H, W]: float32, channels last."""
    return _standardise(_unit(images), mean, std)


def _unit(
    images: UInt8[Tensor, "images channels height width"],
) -> Float32[Tensor, "images channels height width"]:
    """Return byte images as float32 from 0 to 1."""
    # One channel after the other is the layout that a CPU computes with fastest.
    pixels = images.to(torch.float32, memory_format=torch.contiguous_format)
    # Times 1/255, not divided by 255: torchvision's v2 transforms round that way.
    return pixels.mul_(1 / 255)


def _standardise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Return (images - mean) / std in channels last; `images` is changed."""
    statistics = torch.tensor((mean, std)).view(2, -1, 1, 1)
    shift, scale = statistics.to(images.device, non_blocking=True)
    return images.sub_(shift).div_(scale).contiguous(memory_format=torch.channels_last)


def _crop_and_flip(
    images: UInt8[Tensor, "images channels height width"],
    padding: int,
    offsets: Int64[Tensor, "images 2"],
    flips: Int64[Tensor, "images 1"],
) -> UInt8[Tensor, "images channels height width"]:
    """Crop [B, C, H, W] at `offsets` [B, 2] of the padded images.

    The crops are as large as the images, and mirrored where `flips` [B, 1] is 1.
    """
    batch, channels, height, width = images.shape
    padded = F.pad(images, (padding, padding, padding, padding))
    column = torch.arange(width, device=images.device)
    rows = torch.arange(height, device=images.device) + offsets[:, :1]
    columns = torch.where(flips.bool(), width - 1 - column, column) + offsets[:, 1:]
    # One gather crops and mirrors, as fast on the CPU as a copy.
    pixels = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    pixels = pixels.view(batch, 1, -1).expand(-1, channels, -1)
    return padded.flatten(2).gather(2, pixels).view(batch, channels, height, width)


def _is_cut(
    length: int, centres: Int64[Tensor, "images 1"], side: int
) -> Bool[Tensor, "images length"]:
    """Return bool [B, length]: positions in the stretch of `side` around `centres` [B, 1]."""
    distance = torch.arange(length, device=centres.device) - centres + side // 2
    return (distance >= 0) & (distance < side)
