"""A model as a user writes one: cells of four nodes, as in NAS-Bench-201, with a choice an edge."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unas.nn.choice import OpChoice

NODES = 4
CELLS = 3


class Cell(nn.Module):
    """Each node is the sum of what the edges from all nodes before it give."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleDict()
        for node in range(1, NODES):
            for before in range(node):
                self.edges[f"{before}to{node}"] = edge(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Return the last node."""
        nodes = [images]
        for node in range(1, NODES):
            arriving = [
                self.edges[f"{before}to{node}"](state) for before, state in enumerate(nodes)
            ]
            nodes.append(torch.stack(arriving).sum(0))
        return nodes[-1]


class CellModel(nn.Module):
    """A stem, three cells with a strided convolution between them, a head."""

    def __init__(self, num_classes: int = 10, image_channels: int = 3, channels: int = 16) -> None:
        super().__init__()
        self.stem = convolution(image_channels, channels, 3)
        stages: list[nn.Module] = []
        for stage in range(CELLS):
            width = channels * 2**stage
            if stage:
                stages.append(convolution(width // 2, width, 3, stride=2))
            stages.append(Cell(width))
        self.stages = nn.Sequential(*stages)
        self.head = nn.Linear(channels * 2 ** (CELLS - 1), num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [B, num_classes]."""
        features = self.stages(self.stem(images))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


def edge(channels: int) -> OpChoice:
    """Return a choice between two convolutions, a pool and nothing."""
    options: dict[str, nn.Module] = {
        "conv1": nn.Sequential(nn.ReLU(), convolution(channels, channels, 1)),
        "conv3": nn.Sequential(nn.ReLU(), convolution(channels, channels, 3)),
        "pool": nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        "skip": nn.Identity(),
    }
    return OpChoice(options, bn="routed")


def convolution(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Module:
    """Return a convolution with BatchNorm."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
    )
