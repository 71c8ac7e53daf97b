"""Weights that went through a file, which keeps no versions."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import mnasnet0_5

from unas.compute.weights import load_weights


def test_modules_that_ask_for_their_states_version_are_loaded() -> None:
    torch.manual_seed(0)
    source, target = mnasnet0_5(num_classes=3), mnasnet0_5(num_classes=3)
    weights = dict(source.state_dict())
    with pytest.raises(ValueError, match="version"):
        target.load_state_dict(weights)
    load_weights(target, weights)
    for name, tensor in target.state_dict().items():
        assert tensor.equal(weights[name])


def test_missing_weights_are_an_error() -> None:
    network = torch.nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match="bias"):
        load_weights(network, {"weight": torch.zeros(2, 2)})
