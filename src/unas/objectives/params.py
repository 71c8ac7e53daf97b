"""Parameters of the deployed network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from unas.graphs.size import count_parameters
from unas.objectives._counted import CountedTerm


@dataclass(frozen=True)
class ParamsTerm(CountedTerm):
    """How far the parameters of the network, without an auxiliary head, are over a limit.

    Args:
        limit: how many parameters.
    """

    quantity: ClassVar[str] = "params"

    def count(
        self,
        network: nn.Module,
        image_shape: tuple[int, int, int],  # noqa: ARG002  weights are the same for every image
    ) -> float:
        """See `CountedTerm`."""
        return count_parameters(network)
