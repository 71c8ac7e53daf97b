"""A clock that always tells the same, and a model that can be enumerated: 3·3·2 architectures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from unas.latency.backends import Backend
from unas.nn.choice import OpChoice
from unas.spaces import Blueprint, NetworkOptions
from unas.spaces.module import ModuleSpace


@dataclass(frozen=True)
class FakeClock(Backend):
    """Milliseconds from what the network is made of, and no sum over its choices.

    Args:
        exponent: of the sum over the layers.
    """

    exponent: float = 1.3

    def prepare(
        self,
        network: nn.Module,
        batch_shape: tuple[int, int, int, int],  # noqa: ARG002
        device: torch.device,  # noqa: ARG002
        threads: int,  # noqa: ARG002
    ) -> Callable[[], float]:
        milliseconds = sum(p.numel() for p in network.parameters()) / 100
        return lambda: milliseconds**self.exponent


def conv(kernel: int) -> nn.Module:
    return nn.Conv2d(4, 4, kernel, padding=kernel // 2)


def small_model(num_classes: int = 10, image_channels: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(image_channels, 4, 3, padding=1),
        OpChoice({"skip": nn.Identity(), "k1": conv(1), "k3": conv(3)}),
        OpChoice({"k3": conv(3), "k5": conv(5), "pool": nn.AvgPool2d(3, 1, 1)}),
        nn.ReLU(),
        OpChoice({"small": nn.AvgPool2d(4), "conv": nn.Sequential(conv(3), nn.AvgPool2d(4))}),
        nn.Flatten(),
        nn.Linear(16, num_classes),
    )


SPACE = ModuleSpace(small_model)
BLUEPRINT = Blueprint(SPACE, NetworkOptions(), 10, (1, 8, 8))
