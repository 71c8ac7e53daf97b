"""What a search is for: the network that an architecture becomes, at the size that will be deployed."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import nn

from unas.architecture.genotype import Genotype
from unas.spaces import NetworkOptions, SearchSpace


@dataclass(frozen=True)
class Deployment:
    """The network of each architecture: its size, its images, and where it runs.

    Args:
        space: the search space.
        options: the size of the network, such as its real C and L; not the supernet's.
        num_classes: how many classes it tells apart.
        image_shape: (C, H, W).
        device: where the backends that can choose run it.
    """

    space: SearchSpace
    options: NetworkOptions
    num_classes: int
    image_shape: tuple[int, int, int]
    device: str = "cpu"

    def network(self, genotype: Genotype) -> nn.Module:
        """Return the untrained network, on the CPU; torch's generators are left as they are."""
        with torch.random.fork_rng(devices=[]):
            return self.space.network(
                genotype, self.num_classes, self.image_shape[0], **asdict(self.options)
            )

    def skeleton(self, genotype: Genotype) -> nn.Module:
        """Return the network without memory for its weights: enough to count it."""
        with torch.device("meta"):
            return self.network(genotype)
