"""Images that are smaller at first: progressive resizing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from unas.compute.shapes import Images

ImageShape = tuple[int, int, int]


@dataclass(frozen=True)
class SmallImages:
    """Smaller images in the first epochs of a stream, whose steps are faster.

    Args:
        side: the shorter side of the smaller images, in pixels.
        epochs: how many epochs have them.
    """

    side: int
    epochs: int

    def shape_of(self, shape: ImageShape) -> ImageShape:
        """Return (channels, height, width) of what is made of images of such a shape."""
        channels, height, width = shape
        shorter = min(height, width)
        return channels, round(height * self.side / shorter), round(width * self.side / shorter)

    def area_of(self, shape: ImageShape) -> float:
        """Return which share the smaller images have of the area of such a shape."""
        _, height, width = self.shape_of(shape)
        return height * width / (shape[1] * shape[2])

    def of(self, images: Images) -> Float[Tensor, "images channels small_height small_width"]:
        """Return the images [B, C, H, W] smaller: a pixel is the mean of the area it stands for."""
        _, height, width = self.shape_of((images.shape[1], images.shape[2], images.shape[3]))
        means = F.interpolate(images, size=(height, width), mode="area")
        return means.contiguous(memory_format=torch.channels_last)
