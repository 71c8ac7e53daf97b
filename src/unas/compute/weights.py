"""Weights from a file into a network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn


def load_weights(network: nn.Module, weights: Mapping[str, Any]) -> None:
    """Load a state that comes from a file.

    Files have no room for the versions that modules give their states, and some modules ask for
    them (torchvision's MNASNet): the state is taken for one of the present versions.

    Args:
        network: gets the weights.
        weights: what its `state_dict` returned, or one of the same names and shapes.

    Raises:
        RuntimeError: names or shapes differ.
    """
    state = OrderedDict(weights)
    state._metadata = network.state_dict()._metadata  # type: ignore[attr-defined]
    network.load_state_dict(state)
