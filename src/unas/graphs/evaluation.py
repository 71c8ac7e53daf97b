"""A network as it is looked at without training it: its images, and its mode."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from unas.common.errors import UserError


def blank_images(
    network: nn.Module, image_shape: tuple[int, int, int], batch_size: int = 1
) -> Tensor:
    """Return images [B, C, H, W] of zeros, on the device and of the type of a network's weights.

    Args:
        network: any module.
        image_shape: (C, H, W).
        batch_size: how many images.

    Raises:
        UserError: the shape is not three positive numbers.
    """
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise UserError(
            f"image_shape is {image_shape}; give (channels, height, width), for example (3, 32, 32)"
        )
    tensors = itertools.chain(network.parameters(), network.buffers())
    weight = next((t for t in tensors if t.is_floating_point()), torch.empty(0))
    return torch.zeros(batch_size, *image_shape, device=weight.device, dtype=weight.dtype)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and each part of it back into its own mode afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training
