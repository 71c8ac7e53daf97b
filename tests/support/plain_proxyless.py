"""A plain ProxylessNAS supernet, the oracle of the real one: every operation of every layer,
weighted and summed.

Written from the ProxylessNAS paper on its own: contiguous images, its own BatchNorm and
ReLU6.
"""

from typing import Any, cast

import torch
from torch import nn

from plain_supernet import apply
from unas.architecture.policy import Sample

# Width before, width after, stride.
LAYERS = [
    (24, 32, 2), (32, 32, 1), (32, 32, 1), (32, 32, 1),
    (32, 56, 2), (56, 56, 1), (56, 56, 1), (56, 56, 1),
    (56, 112, 2), (112, 112, 1), (112, 112, 1), (112, 112, 1),
    (112, 128, 1), (128, 128, 1), (128, 128, 1), (128, 128, 1),
    (128, 256, 2), (256, 256, 1), (256, 256, 1), (256, 256, 1),
    (256, 432, 1),
]  # fmt: skip


class Norm(nn.Module):
    """BatchNorm over the images that it is given."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean((0, 2, 3), keepdim=True)
        variance = centred.square().mean((0, 2, 3), keepdim=True)
        return centred / (variance + 0.001).sqrt() * self.weight + self.bias


class Clip(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(0, 6)


def convolution(
    before: int, after: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)


class Bottleneck(nn.Module):
    def __init__(self, before: int, after: int, kernel: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = before * expansion
        widen = [convolution(before, wide), Norm(wide), Clip()] if expansion > 1 else []
        filtering = [convolution(wide, wide, kernel, stride, groups=wide), Norm(wide), Clip()]
        self.steps = nn.ModuleList([*widen, *filtering, convolution(wide, after), Norm(after)])
        self.adds = stride == 1 and before == after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for step in self.steps:
            y = step(y)
        return x + y if self.adds else y


class PlainProxyless(nn.Module):
    """All architectures of a ProxylessNAS space.

    Its parameters are in the order of the real one's, so that `copy_parameters` can walk both.
    """

    def __init__(self, width: float, num_classes: int, image_channels: int = 3) -> None:
        super().__init__()

        def scale(channels: int) -> int:
            return int(channels * width + 0.5)

        self.first = nn.Sequential(
            convolution(image_channels, scale(40), 3, 2), Norm(scale(40)), Clip()
        )
        self.second = Bottleneck(scale(40), scale(24), 3, 1, 1)
        self.layers = nn.ModuleList()
        for before, after, stride in LAYERS:
            skips = [nn.Identity()] if before == after else []
            blocks = [
                Bottleneck(scale(before), scale(after), kernel, expansion, stride)
                for kernel in (3, 5, 7)
                for expansion in (3, 6)
            ]
            self.layers.append(nn.ModuleList([*skips, *blocks]))
        self.last = nn.Sequential(convolution(scale(432), scale(1728)), Norm(scale(1728)), Clip())
        self.classifier = nn.Linear(scale(1728), num_classes)

    def forward(self, images: torch.Tensor, sample: Sample, routed: bool = False) -> torch.Tensor:
        """Return the logits; `routed` is for hard samples."""
        share = len(images) // len(sample)
        x = self.second(self.first(images))
        for number, options in enumerate(self.layers, 1):
            weights = torch.stack([w for w in sample[f"layer{number}"] for _ in range(share)])
            total: Any = 0
            for o, operation in enumerate(cast("nn.ModuleList", options)):
                # Without routing, BatchNorm sees every image.
                total = total + apply(operation, x, weights[:, o], routed)
            x = total
        return cast("torch.Tensor", self.classifier(self.last(x).flatten(2).mean(2)))
