"""A plain DARTS supernet, the oracle of the real one: every operation on every edge, weighted and
summed.

Written from the DARTS paper on its own: contiguous images, its own BatchNorm and pools,
no sharing of what edges have in common. `routed=True` runs each operation on exactly the images
whose weight for it isn't zero.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from unas.architecture.policy import Sample

OPERATIONS = (
    "skip_connect",
    "sep_conv_3x3",
    "max_pool_3x3",
    "dil_conv_3x3",
    "sep_conv_5x5",
    "avg_pool_3x3",
    "sep_conv_7x7",
)


def normalise(x: torch.Tensor) -> torch.Tensor:
    mean = x.mean((0, 2, 3), keepdim=True)
    return (x - mean) / ((x - mean).square().mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()


class Norm(nn.Module):
    """BatchNorm over the images that it is given, with or without a scale and a shift."""

    def __init__(self, channels: int, affine: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1)) if affine else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.weight is None or self.bias is None:
            return normalise(x)
        return normalise(x) * self.weight + self.bias


class MaxPool(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (
            F.pad(x, (1, 1, 1, 1), value=-torch.inf)
            .unfold(2, 3, self.stride)
            .unfold(3, 3, self.stride)
            .amax((4, 5))
        )


class AveragePool(MaxPool):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sums, counts = (
            F.pad(y, (1, 1, 1, 1)).unfold(2, 3, self.stride).unfold(3, 3, self.stride).sum((4, 5))
            for y in (x, torch.ones_like(x))
        )
        return sums / counts


class Reduce(nn.Module):
    """Two 1×1 convolutions of every other pixel, the second of the image shifted by one pixel up
    and left.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out // 2, 1, bias=False)
        self.second = nn.Conv2d(channels_in, channels_out // 2, 1, bias=False)
        self.norm = Norm(channels_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.relu()
        halves = [self.first(x[:, :, ::2, ::2]), self.second(x[:, :, 1::2, 1::2])]
        return cast("torch.Tensor", self.norm(torch.cat(halves, 1)))


def project(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(channels_in, channels_out, 1, bias=False), Norm(channels_out)
    )


def depthwise(channels: int, kernel: int, stride: int, dilation: int = 1) -> nn.Sequential:
    """ReLU, depthwise, pointwise, BN."""
    padding = dilation * (kernel // 2)
    spatial = nn.Conv2d(
        channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False
    )
    return nn.Sequential(
        nn.ReLU(), spatial, nn.Conv2d(channels, channels, 1, bias=False), Norm(channels)
    )


def make_operation(name: str, channels: int, stride: int) -> nn.Module:
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else Reduce(channels, channels)
    if name == "max_pool_3x3":
        return MaxPool(stride)
    if name == "avg_pool_3x3":
        return AveragePool(stride)
    if name == "dil_conv_3x3":
        return depthwise(channels, 3, stride, dilation=2)
    kernel = int(name[-1])
    return nn.Sequential(depthwise(channels, kernel, stride), depthwise(channels, kernel, 1))


def apply(operation: nn.Module, x: torch.Tensor, weight: torch.Tensor, routed: bool) -> Any:
    """Return weight·operation(x), [B, C, H, W], or 0; weight is [B]."""
    if not routed:
        return operation(x) * weight[:, None, None, None]
    rows = [i for i in range(len(x)) if weight[i] != 0]
    if not rows:
        return 0
    picked = operation(torch.stack([x[i] for i in rows]))
    outcomes = iter(weight[i] * outcome for i, outcome in zip(rows, picked, strict=True))
    return torch.stack(
        [next(outcomes) if i in rows else torch.zeros_like(picked[0]) for i in range(len(x))]
    )


class PlainCell(nn.Module):
    def __init__(
        self,
        names: tuple[str, ...],
        before: int,
        previous: int,
        channels: int,
        *,
        is_reduction: bool,
        after_reduction: bool,
        nodes: int,
    ) -> None:
        super().__init__()
        self.kind = "reduction" if is_reduction else "normal"
        self.preprocess0 = (
            Reduce(before, channels) if after_reduction else project(before, channels)
        )
        self.preprocess1 = project(previous, channels)
        self.nodes = nn.ModuleList()
        for node in range(nodes):
            strides = [2 if is_reduction and state < 2 else 1 for state in range(node + 2)]
            edges = [
                nn.ModuleList(make_operation(name, channels, stride) for name in names)
                for stride in strides
            ]
            self.nodes.append(nn.ModuleList(edges))

    def forward(
        self,
        before: torch.Tensor,
        previous: torch.Tensor,
        weights: dict[str, torch.Tensor],
        routed: bool,
    ) -> torch.Tensor:
        states = [self.preprocess0(before), self.preprocess1(previous)]
        for node, edges in enumerate(self.nodes):
            total: Any = 0
            for j, edge in enumerate(cast("nn.ModuleList", edges)):
                for o, operation in enumerate(cast("nn.ModuleList", edge)):
                    prefix = f"{self.kind}/node{node}"
                    weight: Any = sum(
                        weights[f"{prefix}/input{slot}"][:, j] * weights[f"{prefix}/op{slot}"][:, o]
                        for slot in (0, 1)
                    )
                    total = total + apply(operation, states[j], weight, routed)
            states.append(total)
        return torch.cat(states[2:], 1)


class PlainSupernet(nn.Module):
    """All architectures of a DARTS space.

    Its parameters are in the order of the real one's, so that `copy_parameters` can walk both.
    """

    def __init__(
        self,
        channels: int,
        layers: int,
        num_operations: int,
        *,
        stem: Any,
        num_classes: int,
        image_channels: int = 3,
        nodes: int = 4,
    ) -> None:
        super().__init__()
        width = 3 * channels
        if stem == "cifar":
            self.stem0 = nn.Sequential(
                nn.Conv2d(image_channels, width, 3, padding=1, bias=False), Norm(width, True)
            )
            self.stem1: nn.Module = nn.Identity()
        else:
            self.stem0 = nn.Sequential(
                nn.Conv2d(image_channels, width // 2, 3, 2, 1, bias=False),
                Norm(width // 2, True),
                nn.ReLU(),
                nn.Conv2d(width // 2, width, 3, 2, 1, bias=False),
                Norm(width, True),
            )
            self.stem1 = nn.Sequential(
                nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1, bias=False), Norm(width, True)
            )
            channels = width
        before, previous, after_reduction = width, width, stem == "imagenet"
        self.cells = nn.ModuleList()
        for layer in range(layers):
            is_reduction = layer in (layers // 3, 2 * layers // 3)
            channels = 2 * channels if is_reduction else channels
            names = OPERATIONS[:num_operations]
            cell = PlainCell(
                names,
                before,
                previous,
                channels,
                is_reduction=is_reduction,
                after_reduction=after_reduction,
                nodes=nodes,
            )
            self.cells.append(cell)
            before, previous, after_reduction = previous, nodes * channels, is_reduction
        self.classifier = nn.Linear(previous, num_classes)

    def forward(self, images: torch.Tensor, sample: Sample, routed: bool = False) -> torch.Tensor:
        """Return the logits; `routed` is for hard samples."""
        share = len(images) // len(sample)
        weights = {
            name: torch.stack([w for w in sample[name] for _ in range(share)])
            for name in sample.layout.choices
        }
        before = self.stem0(images)
        previous = self.stem1(before)
        for cell in self.cells:
            before, previous = previous, cell(before, previous, weights, routed)
        return cast("torch.Tensor", self.classifier(previous.flatten(2).mean(2)))


def copy_parameters(source: nn.Module, target: nn.Module) -> None:
    """Give every parameter of `target` the value of the one at the same place in `source`."""
    with torch.no_grad():
        for theirs, ours in zip(source.parameters(), target.parameters(), strict=True):
            assert theirs.numel() == ours.numel()
            ours.copy_(theirs.reshape(ours.shape))
