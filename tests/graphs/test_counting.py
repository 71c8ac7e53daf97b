"""Counts against the published numbers, and against PyTorch's own counter."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from unas.architecture.published import load_genotype
from unas.common.errors import UserError
from unas.graphs.size import count_macs, count_parameters
from unas.spaces import create_network

CIFAR = {"channels": 36, "layers": 20}
IMAGENET: dict[str, Any] = {"channels": 48, "layers": 14, "stem": "imagenet"}


@pytest.mark.parametrize(
    ("name", "classes", "options", "side", "parameters", "head", "macs"),
    [
        ("UNAS_CIFAR10", 10, CIFAR, 32, 3_330_766, 476_426, 516_304_512),
        ("UNAS_CIFAR100", 100, CIFAR, 32, 4_067_200, 545_636, 614_119_680),
        ("UNAS_IMAGENET", 1000, IMAGENET, 224, 5_478_880, None, 595_184_256),
    ],
)
def test_published_counts(
    name: str,
    classes: int,
    *,
    options: dict[str, Any],
    side: int,
    parameters: int,
    head: int | None,
    macs: int,
) -> None:
    with torch.device("meta"):
        network = create_network(
            load_genotype(name), classes, auxiliary=head is not None, **options
        )
    assert count_parameters(network) == parameters
    assert count_parameters(network, auxiliary=True) == parameters + (head or 0)
    assert count_macs(network, (3, side, side)) == macs


def test_imagenet_width_is_the_largest_even_one_below_600_million() -> None:
    with torch.device("meta"):
        wider = create_network(load_genotype("UNAS_IMAGENET"), 1000, **IMAGENET | {"channels": 50})
    assert count_macs(wider, (3, 224, 224)) > 600e6


def test_macs_equal_half_of_pytorchs_flops() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.Conv2d(8, 8, (5, 3), groups=4, dilation=2),
        nn.Conv2d(8, 6, 1, bias=False),
        nn.Flatten(1, 2),
        nn.Linear(24, 7),
    )
    image = torch.zeros(1, 3, 64, 56)
    with FlopCounterMode(display=False) as counter:
        network(image)
    assert count_macs(network, (3, 64, 56)) == counter.get_total_flops() / 2 > 0


def test_a_layer_that_is_used_twice_counts_twice() -> None:
    layer = nn.Linear(5, 5)
    network = nn.Sequential(nn.Flatten(), layer, layer)
    assert count_macs(network, (5, 1, 1)) == 50
    assert count_parameters(network) == 30


def test_counting_leaves_the_network_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    network.train()
    network[1].eval()  # a frozen BatchNorm must stay frozen
    before = {name: value.clone() for name, value in network.state_dict().items()}
    count_macs(network, (3, 8, 8))
    assert [module.training for module in network.modules()] == [True, True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("shape", [(3, 32), (0, 8, 8)])
def test_a_wrong_shape_gives_one_line(shape: Any) -> None:
    with pytest.raises(UserError, match="image_shape"):
        count_macs(nn.Identity(), shape)
