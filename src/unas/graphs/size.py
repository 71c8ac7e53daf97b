"""How large a network is: parameters and multiply-adds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from unas.common.errors import UserError


def count_parameters(network: nn.Module, auxiliary: bool = False) -> int:
    """Return the number of trainable and fixed parameters, each shared one once.

    Args:
        network: any module.
        auxiliary: count the auxiliary head, the submodule called `auxiliary`, too.
    """
    total = 0
    for name, parameter in network.named_parameters():
        if auxiliary or not name.startswith("auxiliary."):
            total += parameter.numel()
    return total


def count_macs(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Return the multiply-adds of a network's convolutions and linear layers for one image.

    What a network computes outside of `nn.Conv2d` and `nn.Linear` is not counted.

    Args:
        network: maps images [1, C, H, W] to anything, on any device ("meta" costs nothing); it is
            evaluated, and left as it was.
        image_shape: (C, H, W).

    Raises:
        UserError: the shape is not three positive numbers.
    """
    image = one_image(network, image_shape)
    total = 0

    def add(module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> None:
        nonlocal total
        total += output.numel() * _macs_of_one_value(module)

    counted = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    hooks = [module.register_forward_hook(add) for module in counted]
    try:
        with evaluation_mode(network), torch.no_grad():
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return total


def one_image(network: nn.Module, image_shape: tuple[int, int, int]) -> Tensor:
    """Return an image [1, C, H, W] of zeros, on the device and of the type of a network's weights.

    Args:
        network: any module.
        image_shape: (C, H, W).

    Raises:
        UserError: the shape is not three positive numbers.
    """
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise UserError(
            f"image_shape is {image_shape}; give (channels, height, width), for example (3, 32, 32)"
        )
    tensors = itertools.chain(network.parameters(), network.buffers())
    weight = next((t for t in tensors if t.is_floating_point()), torch.empty(0))
    return torch.zeros(1, *image_shape, device=weight.device, dtype=weight.dtype)


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


def _macs_of_one_value(module: nn.Module) -> int:
    """Return the multiply-adds behind one value of the layer's output."""
    if isinstance(module, nn.Linear):
        return module.in_features
    assert isinstance(module, nn.Conv2d)  # noqa: S101  for the type checker
    return module.weight[0].numel()
