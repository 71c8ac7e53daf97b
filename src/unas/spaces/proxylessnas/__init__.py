"""The ProxylessNAS space: 21 mobile layers in a row (ProxylessNAS, arXiv 1812.00332, section 3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import nn

from unas.architecture.genotype import Genotype
from unas.graphs.counting import Counting
from unas.nn.mixed import BatchNormRows
from unas.spaces._checks import check_bn, check_width
from unas.spaces._limits import MacsLimit, check_limit
from unas.spaces.base import NetworkOptions, SearchSpace
from unas.spaces.proxylessnas.layers import layers
from unas.spaces.proxylessnas.network import ProxylessNetwork
from unas.spaces.proxylessnas.supernet import ProxylessSupernet
from unas.spaces.proxylessnas.width import IMAGE_SIDE, largest_width

# A file that asks for more is damaged, or wants our memory.
MAX_WIDTH = 32


@dataclass(frozen=True)
class ProxylessNetworkOptions(NetworkOptions):
    """How large the network of a ProxylessNAS genotype is.

    Args:
        width: what every number of channels is multiplied with; the products are rounded. None: the
            most hundredths that `max_macs` allows.
        max_macs: what decides the width where it is None: the network has fewer multiply-adds,
            counted for one image of 224×224.
        counting: the rule that `max_macs` is counted by, as in `DartsNetworkOptions`; a ReLU6 is
            counted as a ReLU.

    Raises:
        UserError: a field is out of its range, or both or none of `width` and `max_macs` are given.
    """

    width: float | None = 1.0
    max_macs: int | None = None
    counting: Counting = "products"

    def __post_init__(self) -> None:
        check_limit("width", self.width, self.max_macs, self.counting)
        if self.width is not None:
            check_width("network", self.width, MAX_WIDTH)

    def decided(
        self, genotype: Genotype, num_classes: int, image_channels: int
    ) -> ProxylessNetworkOptions:
        """Return the options with the width that `max_macs` allows this architecture."""
        if self.max_macs is None:
            return self

        def build(width: float) -> nn.Module:
            return ProxylessNetwork(genotype.choices, num_classes, image_channels, width=width)

        widest = largest_width(build, self._limit(self.max_macs, image_channels), MAX_WIDTH)
        return replace(self, width=widest, max_macs=None)

    def decision(self, genotype: Genotype, num_classes: int, image_channels: int) -> str | None:
        """See `NetworkOptions`."""
        if self.max_macs is None:
            return None
        size = self.decided(genotype, num_classes, image_channels)
        assert size.width is not None  # noqa: S101 - it is decided
        with torch.device("meta"):
            network = ProxylessNetwork(
                genotype.choices, num_classes, image_channels, width=size.width
            )
        limit = self._limit(self.max_macs, image_channels)
        return limit.describe(f"width {size.width}", network)

    def _limit(self, max_macs: int, image_channels: int) -> MacsLimit:
        return MacsLimit(max_macs, self.counting, (image_channels, IMAGE_SIDE, IMAGE_SIDE))


@dataclass(frozen=True)
class ProxylessSpace(SearchSpace):
    """21 MBConv layers in a row, of kernel 3, 5 or 7 and expansion 3 or 6 (UNAS, section 4.2).

    The 15 layers that keep resolution and width may also be skipped.

    Args:
        width: what every number of the supernet's channels is multiplied with; the products are
            rounded.
        bn: what a hard sample's BatchNorm takes its statistics over: "batch", all images of the
            batch, the same numbers as computing every operation and masking; "routed", only the
            images whose architecture picked the operation, which computes less.

    Raises:
        UserError: a field is out of its range.
    """

    network_options: ClassVar[type[NetworkOptions]] = ProxylessNetworkOptions

    width: float = 1.0
    bn: BatchNormRows = "batch"

    def __post_init__(self) -> None:
        check_width("space", self.width, MAX_WIDTH)
        check_bn(self.bn)

    @classmethod
    def all_choices(cls) -> dict[str, tuple[str, ...]]:
        """Return the options of each layer."""
        return {layer.name: layer.options for layer in layers()}

    @property
    def choices(self) -> dict[str, tuple[str, ...]]:
        """The options of each layer, by its name."""
        return self.all_choices()

    def supernet(self, num_classes: int, image_channels: int = 3) -> nn.Module:
        """See `SearchSpace`."""
        return ProxylessSupernet(num_classes, image_channels, width=self.width, bn=self.bn)

    def network(
        self, genotype: Genotype, num_classes: int, image_channels: int = 3, **options: Any
    ) -> nn.Module:
        """See `SearchSpace`; the options are the fields of `ProxylessNetworkOptions`."""
        self.check(genotype)
        size = ProxylessNetworkOptions.from_keywords(options).decided(
            genotype, num_classes, image_channels
        )
        assert size.width is not None  # noqa: S101 - it is decided
        return ProxylessNetwork(genotype.choices, num_classes, image_channels, width=size.width)
