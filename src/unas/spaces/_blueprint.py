"""How the architectures of a space become networks: their size, their images and the classes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from unas.architecture.genotype import Genotype
from unas.spaces._skeleton import without_memory
from unas.spaces.base import NetworkOptions, SearchSpace


@dataclass(frozen=True)
class Blueprint:
    """How each architecture of a space becomes a network.

    Args:
        space: the search space.
        options: the size of the network, such as its C and L; not the supernet's.
        num_classes: how many classes the network tells apart.
        image_shape: (C, H, W) of an image.
    """

    space: SearchSpace
    options: NetworkOptions
    num_classes: int
    image_shape: tuple[int, int, int]

    @property
    def image_channels(self) -> int:
        """Channels of an image."""
        return self.image_shape[0]

    def decided(self, genotype: Genotype) -> Blueprint:
        """Return the blueprint with the options that an architecture's network really has.

        Raises:
            UserError: no network of this architecture is as the options ask.
        """
        options = self.options.decided(genotype, self.num_classes, self.image_channels)
        return replace(self, options=options)

    def decision(self, genotype: Genotype) -> dict[str, str]:
        """Return the width that a limit decides for an architecture, by name; none, if none does.

        Raises:
            UserError: see `decided`.
        """
        text = self.options.decision(genotype, self.num_classes, self.image_channels)
        return {} if text is None else {"network_width": text}

    def network(self, genotype: Genotype) -> nn.Module:
        """Return the untrained network, on the CPU; torch's generators are left as they are.

        Raises:
            UserError: the genotype is not one of the space, or no network of it is as the options
                ask.
        """
        # The only place where options become keywords.
        keywords = vars(self.options)
        with torch.random.fork_rng(devices=[]):
            return self.space.network(genotype, self.num_classes, self.image_channels, **keywords)

    def skeleton(self, genotype: Genotype) -> nn.Module:
        """Return the network, enough to count it; see `without_memory`."""
        return without_memory(lambda: self.network(genotype))

    def size(self) -> dict[str, Any]:
        """Return the options and the number of classes by name, as plain values for a file."""
        return {**asdict(self.options), "num_classes": self.num_classes}
