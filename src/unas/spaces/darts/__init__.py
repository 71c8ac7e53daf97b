"""The DARTS space: a normal and a reduction cell, repeated (DARTS, section 2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import nn

from unas.architecture.genotype import Genotype
from unas.common.errors import UserError
from unas.graphs.counting import Counting
from unas.nn.mixed import BatchNormRows
from unas.nn.ops import OPERATIONS
from unas.spaces._checks import check_bn
from unas.spaces._limits import MacsLimit, check_limit
from unas.spaces.base import NetworkOptions, SearchSpace
from unas.spaces.darts.choices import (
    CELLS,
    MAX_NODES,
    NODES,
    cell_choices,
    cell_slots,
    nodes_of,
    slot_names,
)
from unas.spaces.darts.network import DartsNetwork
from unas.spaces.darts.supernet import DartsSupernet
from unas.spaces.darts.width import IMAGE_SIDES, largest_channels

# A file that asks for more is damaged, or wants our memory.
MAX_CHANNELS = 4096
MAX_LAYERS = 1000

Stem = Literal["cifar", "imagenet"]


def _check_channels(what: str, channels: int | None) -> None:
    if not (isinstance(channels, int) and 2 <= channels <= MAX_CHANNELS and channels % 2 == 0):
        raise UserError(
            f"{what}.channels is {channels!r}; it must be even, from 2 to {MAX_CHANNELS}"
        )


def _check_size(what: str, layers: int, stem: str) -> None:
    """Check the other fields that a space and its networks share."""
    if not (isinstance(layers, int) and 3 <= layers <= MAX_LAYERS):
        raise UserError(
            f"{what}.layers is {layers!r}; "
            f"it must be from 3 (two reductions and a normal cell) to {MAX_LAYERS}"
        )
    if stem not in get_args(Stem):
        raise UserError(f"{what}.stem is {stem!r}; it must be {' or '.join(get_args(Stem))}")


@dataclass(frozen=True)
class DartsNetworkOptions(NetworkOptions):
    """How large the network of a DARTS genotype is.

    Args:
        channels: C, the channels of the first cells; even. None: the largest that `max_macs`
            allows.
        layers: L, the number of cells; cells L//3 and 2L//3 are reductions.
        stem: "cifar" keeps the resolution, "imagenet" divides it by 8.
        auxiliary: add an auxiliary head after cell 2L//3; in training mode the network then returns
            (logits, auxiliary_logits).
        drop_path: the probability, at the end of training, that a slot is dropped for an image.
        max_macs: what decides C where `channels` is None: the network has fewer multiply-adds,
            counted for one image of the size that its stem is made for, 32×32 (cifar) or 224×224
            (imagenet).
        counting: the rule that `max_macs` is counted by: "products", convolutions and linear layers
            alone; "published", as for the networks in UNAS, which adds one for each output of a
            ReLU and each input of a pooling, and two for each input of an affine BatchNorm.

    Raises:
        UserError: a field is out of its range, or both or none of `channels` and `max_macs` are
            given.
    """

    channels: int | None = 36
    layers: int = 20
    stem: Stem = "cifar"
    auxiliary: bool = False
    drop_path: float = 0.0
    max_macs: int | None = None
    counting: Counting = "products"

    def __post_init__(self) -> None:
        check_limit("channels", self.channels, self.max_macs, self.counting)
        if self.max_macs is None:
            _check_channels("network", self.channels)
        _check_size("network", self.layers, self.stem)
        if not isinstance(self.auxiliary, bool):
            raise UserError(f"network.auxiliary is {self.auxiliary!r}; it must be true or false")
        if not (isinstance(self.drop_path, int | float) and 0 <= self.drop_path < 1):
            raise UserError(
                f"network.drop_path is {self.drop_path!r}; it must be at least 0 and below 1"
            )

    def decided(
        self, genotype: Genotype, num_classes: int, image_channels: int
    ) -> DartsNetworkOptions:
        """Return the options with the C that `max_macs` allows this architecture."""
        if self.max_macs is None:
            return self
        widest = _widest(self, self.max_macs, genotype, num_classes, image_channels)
        return replace(self, channels=widest, max_macs=None)

    def decision(self, genotype: Genotype, num_classes: int, image_channels: int) -> str | None:
        """See `NetworkOptions`."""
        if self.max_macs is None:
            return None
        size = self.decided(genotype, num_classes, image_channels)
        with torch.device("meta"):
            network = _network(size, genotype, num_classes, image_channels)
        limit = _limit(self, self.max_macs, image_channels)
        return limit.describe(f"C = {size.channels}", network)


@dataclass(frozen=True)
class DartsSpace(SearchSpace):
    """Cells of nodes, each the sum of two operations on two earlier states.

    See DARTS, section 2, and UNAS, section 4. All normal cells share one set of choices, all
    reduction cells another: 32 choices with 4 nodes a cell.

    Args:
        channels: C, the channels of the supernet's first cells; even.
        layers: L, the number of the supernet's cells; cells L//3 and 2L//3 are reductions.
        operations: how many operations there are to choose from, the first n of
            `unas.nn.ops.OPERATIONS`.
        stem: "cifar" keeps the resolution, "imagenet" divides it by 8.
        nodes: how many nodes a cell has.
        bn: what a hard sample's BatchNorm takes its statistics over: "batch", all images of the
            batch, the same numbers as computing every operation and masking; "routed", only the
            images whose architecture picked the operation, which computes less.

    Raises:
        UserError: a field is out of its range.
    """

    network_options: ClassVar[type[NetworkOptions]] = DartsNetworkOptions
    has_float32_kernels: ClassVar[bool] = True

    channels: int = 16
    layers: int = 8
    operations: int = len(OPERATIONS)
    stem: Stem = "cifar"
    nodes: int = NODES
    bn: BatchNormRows = "batch"

    def __post_init__(self) -> None:
        _check_channels("space", self.channels)
        _check_size("space", self.layers, self.stem)
        if not (isinstance(self.operations, int) and 1 <= self.operations <= len(OPERATIONS)):
            raise UserError(
                f"space.operations is {self.operations!r}; it must be from 1 to {len(OPERATIONS)}"
            )
        if not (isinstance(self.nodes, int) and 1 <= self.nodes <= MAX_NODES):
            raise UserError(f"space.nodes is {self.nodes!r}; it must be from 1 to {MAX_NODES}")
        check_bn(self.bn)

    @classmethod
    def all_choices(cls) -> dict[str, tuple[str, ...]]:
        """Return every choice with all options it can have, of cells with 4 nodes."""
        return cell_choices(OPERATIONS)

    @classmethod
    def choices_like(cls, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """See `ChoiceTable`: how many nodes a cell has can be told from the names."""
        return cell_choices(OPERATIONS, nodes_of(names))

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The options of each choice.

        Input "0" is the cell before the previous one, "1" the previous one, and 2 + n is node n.
        """
        return cell_choices(OPERATIONS[: self.operations], self.nodes)

    def slot_pairs(self) -> tuple[tuple[tuple[str, str], tuple[str, str]], ...]:
        """Return for each node the names of ((input, operation), (input, operation)) choices."""
        return tuple(slot_names(cell, node) for cell in CELLS for node in range(self.nodes))

    def supernet(self, num_classes: int, image_channels: int = 3) -> nn.Module:
        """See `SearchSpace`."""
        return DartsSupernet(
            OPERATIONS[: self.operations],
            num_classes,
            image_channels,
            channels=self.channels,
            layers=self.layers,
            nodes=self.nodes,
            stem=self.stem,
            bn=self.bn,
        )

    def network(
        self, genotype: Genotype, num_classes: int, image_channels: int = 3, **options: Any
    ) -> DartsNetwork:
        """Return the network of any DARTS cell, of this instance's nodes and operations or not.

        Args:
            genotype: an architecture of the DARTS space.
            num_classes: how many classes the network tells apart.
            image_channels: channels of an image.
            **options: fields of `DartsNetworkOptions`.

        Raises:
            UserError: the genotype is not one of this space, or an option is wrong.
        """
        self.check(genotype)
        size = DartsNetworkOptions.from_keywords(options).decided(
            genotype, num_classes, image_channels
        )
        return _network(size, genotype, num_classes, image_channels)


def _network(
    size: DartsNetworkOptions, genotype: Genotype, num_classes: int, image_channels: int
) -> DartsNetwork:
    assert size.channels is not None  # noqa: S101 - it is decided
    return DartsNetwork(
        cell_slots(genotype),
        num_classes,
        image_channels,
        channels=size.channels,
        layers=size.layers,
        stem=size.stem,
        auxiliary=size.auxiliary,
        drop_path=size.drop_path,
    )


# A run asks for one width again and again, and counting takes a second.
@lru_cache(maxsize=64)
def _widest(
    options: DartsNetworkOptions,
    max_macs: int,
    genotype: Genotype,
    num_classes: int,
    image_channels: int,
) -> int:
    """Return the largest C of an architecture's network below a limit."""

    def build(channels: int) -> nn.Module:
        size = replace(options, channels=channels, max_macs=None)
        return _network(size, genotype, num_classes, image_channels)

    return largest_channels(build, _limit(options, max_macs, image_channels), MAX_CHANNELS)


def _limit(options: DartsNetworkOptions, max_macs: int, image_channels: int) -> MacsLimit:
    side = IMAGE_SIDES[options.stem]
    return MacsLimit(max_macs, options.counting, (image_channels, side, side))
