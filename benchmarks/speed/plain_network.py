"""A DARTS network in PyTorch's own layers alone: what the training is timed beside."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from unas.architecture.genotype import Genotype
from unas.spaces.darts.choices import Slots, cell_slots

NODES = 4


def _projection(channels_in: int, channels: int) -> nn.Module:
    convolution = nn.Conv2d(channels_in, channels, 1, bias=False)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(channels))


def _depthwise(channels: int, kernel: int, stride: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    filters = nn.Conv2d(
        channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False
    )
    pointwise = nn.Conv2d(channels, channels, 1, bias=False)
    return nn.Sequential(nn.ReLU(), filters, pointwise, nn.BatchNorm2d(channels))


class _Reduction(nn.Module):
    """Two strided convolutions, the second of the image shifted by one pixel."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(channels_in, channels // 2, 1, 2, bias=False)
        self.odd = nn.Conv2d(channels_in, channels // 2, 1, 2, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, images: Tensor) -> Tensor:
        active = images.relu()
        halves = [self.even(active), self.odd(active[:, :, 1:, 1:])]
        normalised: Tensor = self.bn(torch.cat(halves, 1))
        return normalised


def _operation(name: str, channels: int, stride: int) -> nn.Module:
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else _Reduction(channels, channels)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    if name == "dil_conv_3x3":
        return _depthwise(channels, 3, stride, dilation=2)
    kernel = int(name[-1])
    twice = [*_depthwise(channels, kernel, stride), *_depthwise(channels, kernel, 1)]
    return nn.Sequential(*twice)


class _Cell(nn.Module):
    def __init__(
        self, slots: Slots, widths: Sequence[int], channels: int, strides: tuple[int, int]
    ) -> None:
        super().__init__()
        before, stride = strides
        preprocess = _Reduction if before == 2 else _projection
        self.preprocess0 = preprocess(widths[0], channels)
        self.preprocess1 = _projection(widths[1], channels)
        self.inputs = [state for state, _ in slots]
        self.operations = nn.ModuleList(
            _operation(name, channels, stride if state < 2 else 1) for state, name in slots
        )

    def forward(self, before: Tensor, previous: Tensor) -> Tensor:
        states = [self.preprocess0(before), self.preprocess1(previous)]
        slots = list(zip(self.inputs, self.operations, strict=True))
        for first, second in zip(slots[::2], slots[1::2], strict=True):
            states.append(first[1](states[first[0]]) + second[1](states[second[0]]))
        return torch.cat(states[2:], 1)


class PlainNetwork(nn.Module):
    """The network of a genotype, without an auxiliary head and drop-path.

    Args:
        genotype: an architecture of the DARTS space.
        channels: C of the first cells.
        layers: L, the number of cells.
        num_classes: of the images.
        image_channels: of the images.
    """

    def __init__(
        self, genotype: Genotype, channels: int, layers: int, num_classes: int, image_channels: int
    ) -> None:
        super().__init__()
        width = 3 * channels
        convolution = nn.Conv2d(image_channels, width, 3, padding=1, bias=False)
        self.stem = nn.Sequential(convolution, nn.BatchNorm2d(width))
        self.cells = nn.ModuleList()
        widths = [width, width]
        before_stride = 1
        for index in range(layers):
            is_reduction = index in (layers // 3, 2 * layers // 3)
            channels *= 2 if is_reduction else 1
            stride = 2 if is_reduction else 1
            slots = cell_slots(genotype)["reduction" if is_reduction else "normal"]
            self.cells.append(_Cell(slots, widths, channels, (before_stride, stride)))
            widths = [widths[1], NODES * channels]
            before_stride = stride
        self.classifier = nn.Linear(widths[1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [B, num_classes]."""
        before = previous = self.stem(images)
        for cell in self.cells:
            before, previous = previous, cell(before, previous)
        logits: Tensor = self.classifier(previous.mean((2, 3)))
        return logits
