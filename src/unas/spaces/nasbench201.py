"""The space of NAS-Bench-201: one cell of six edges (Dong & Yang 2020, arXiv 2001.00326)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from unas.architecture.genotype import Genotype
from unas.common.errors import UserError
from unas.nn.choice import OpChoice
from unas.nn.mixed import BatchNormRows
from unas.spaces._checks import check_bn
from unas.spaces.base import NetworkOptions, SearchSpace
from unas.spaces.module import ModuleSpace

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NUM_NODES = 4
STAGES = 3
MAX_CHANNELS = 1024
MAX_CELLS = 100


def _check_size(what: str, channels: int, cells: int) -> None:
    for name, value, most in (("channels", channels, MAX_CHANNELS), ("cells", cells, MAX_CELLS)):
        if not (isinstance(value, int) and 1 <= value <= most):
            raise UserError(
                f"{what}.{name} is {value!r}; it must be a whole number from 1 to {most}"
            )


@dataclass(frozen=True)
class NasBench201NetworkOptions(NetworkOptions):
    """How large the network of a NAS-Bench-201 genotype is.

    Args:
        channels: of the first stage; each of the next two has twice as many.
        cells: N, how many cells a stage has.

    Raises:
        UserError: a field is out of its range.
    """

    channels: int = 16
    cells: int = 5

    def __post_init__(self) -> None:
        _check_size("network", self.channels, self.cells)


@dataclass(frozen=True)
class NasBench201Space(SearchSpace):
    """Cells of four nodes; each of the six edges between them is one of five operations.

    Args:
        channels: of the supernet's first stage; each of the next two has twice as many.
        cells: N, how many cells a stage of the supernet has.
        bn: what a hard sample's BatchNorm takes its statistics over; see `OpChoice`.

    Raises:
        UserError: a field is out of its range.
    """

    network_options: ClassVar[type[NetworkOptions]] = NasBench201NetworkOptions

    channels: int = 16
    cells: int = 5
    bn: BatchNormRows = "batch"

    def __post_init__(self) -> None:
        _check_size("space", self.channels, self.cells)
        check_bn(self.bn)

    @classmethod
    def all_choices(cls) -> dict[str, tuple[str, ...]]:
        """Return the options of each edge."""
        return dict.fromkeys(edge_names(), OPERATIONS)

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The options of each edge, by its name."""
        return self.all_choices()

    def supernet(self, num_classes: int, image_channels: int = 3) -> nn.Module:
        """See `SearchSpace`."""
        model = partial(_Model, channels=self.channels, cells=self.cells, bn=self.bn)
        return ModuleSpace(model).supernet(num_classes, image_channels)

    def network(
        self, genotype: Genotype, num_classes: int, image_channels: int = 3, **options: Any
    ) -> nn.Module:
        """See `SearchSpace`; the options are the fields of `NasBench201NetworkOptions`."""
        self.check(genotype)
        size = NasBench201NetworkOptions.from_keywords(options)
        space = ModuleSpace(partial(_Model, channels=size.channels, cells=size.cells))
        decided = Genotype(space.registry_name, genotype.choices)
        return space.network(decided, num_classes, image_channels)


def edge_names() -> tuple[str, ...]:
    """Return the names of the choices: into node 1, into node 2, into node 3."""
    return tuple(f"edge_{j}_{i}" for i in range(1, NUM_NODES) for j in range(i))


def to_text(genotype: Genotype) -> str:
    """Return an architecture as the benchmark writes it: |op~0|+|op~0|op~1|+|op~0|op~1|op~2|."""
    nodes = []
    for i in range(1, NUM_NODES):
        edges = [f"{genotype.choices[f'edge_{j}_{i}']}~{j}" for j in range(i)]
        nodes.append(f"|{'|'.join(edges)}|")
    return "+".join(nodes)


class _Model(nn.Sequential):
    """The benchmark's network with a choice on each edge; all cells decide alike."""

    def __init__(
        self,
        num_classes: int,
        image_channels: int,
        *,
        channels: int,
        cells: int,
        bn: BatchNormRows = "batch",
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(image_channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        ]
        for stage in range(STAGES):
            width = channels * 2**stage
            if stage:
                layers.append(_Halving(width // 2, width))
            layers += [_Cell(width, bn) for _ in range(cells)]
        layers += [
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, num_classes),
        ]
        super().__init__(*layers)


class _Cell(nn.Module):
    """Each node is the sum of its edges from all earlier nodes; the last one is the outcome."""

    def __init__(self, channels: int, bn: BatchNormRows) -> None:
        super().__init__()
        self.edges = nn.ModuleDict()
        for name in edge_names():
            operations = {operation: _operation(operation, channels) for operation in OPERATIONS}
            self.edges[name] = OpChoice(operations, name=name, bn=bn)

    def forward(self, images: Tensor) -> Tensor:
        """Return the last node, [B, C, H, W]."""
        nodes = [images]
        for i in range(1, NUM_NODES):
            total = self.edges[f"edge_0_{i}"](nodes[0])
            for j in range(1, i):
                total = total + self.edges[f"edge_{j}_{i}"](nodes[j])
            nodes.append(total)
        return nodes[-1]


class _Halving(nn.Module):
    """The residual block between two stages: half as high and wide."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            _relu_conv_norm(channels_in, channels_out, 3, stride=2),
            _relu_conv_norm(channels_out, channels_out, 3),
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True),  # odd sides are halved as by the convolution
            nn.Conv2d(channels_in, channels_out, 1, bias=False),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return [B, C_out, H/2, W/2]."""
        outcome: Tensor = self.shortcut(images) + self.convolutions(images)
        return outcome


class _None(nn.Module):
    """No edge: zeros."""

    def forward(self, images: Tensor) -> Tensor:
        """Return zeros as large as the images."""
        return torch.zeros_like(images)


def _operation(name: str, channels: int) -> nn.Module:
    match name:
        case "none":
            return _None()
        case "skip_connect":
            return nn.Identity()
        case "avg_pool_3x3":
            return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        case _:
            return _relu_conv_norm(channels, channels, 1 if name == "nor_conv_1x1" else 3)


def _relu_conv_norm(
    channels_in: int, channels_out: int, kernel: int, *, stride: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
    )
