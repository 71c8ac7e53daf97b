"""Counts against the published numbers, and against PyTorch's own counter."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from unas.architecture.published import load_genotype
from unas.common.errors import UserError
from unas.graphs.size import count_macs, count_parameters, macs_if_known
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


class Applied(nn.Module):
    """Modules and a function of them, as a network."""

    def __init__(self, function: Callable[..., Any], *modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(modules)

    def forward(self, images: torch.Tensor) -> Any:
        return self.function(images, *self.parts)


# Each takes images [B, 3, 8, 8], and its multiply-adds by hand.
PRODUCTS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "Conv1d": (
        lambda: Applied(lambda x, c: c(x[:, 0]), nn.Conv1d(8, 16, 3, padding=1)),
        16 * 8 * 8 * 3,
    ),
    "Conv3d": (
        lambda: Applied(lambda x, c: c(x[:, None]), nn.Conv3d(1, 2, 3, padding=1)),
        2 * 3 * 8 * 8 * 27,
    ),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(3, 6, 3, stride=2), 3 * 8 * 8 * 6 * 9),
    "values that lie channels last": (  # where a pool is written with as_strided_
        lambda: Applied(
            lambda x, pool: pool(x.contiguous(memory_format=torch.channels_last)),
            nn.AdaptiveAvgPool2d(1),
        ),
        0,
    ),
    "a convolution as a function": (
        lambda: Applied(lambda x: nn.functional.conv2d(x, torch.ones(4, 3, 3, 3, device=x.device))),
        4 * 6 * 6 * 27,
    ),
    "a matrix product": (lambda: Applied(lambda x: x @ x.transpose(2, 3)), 3 * 8 * 8 * 8),
    "einsum": (lambda: Applied(lambda x: torch.einsum("bchw,bdhw->bcd", x, x)), 3 * 3 * 64),
    "baddbmm": (
        lambda: Applied(lambda x: torch.baddbmm(x[:, 0], x[:, 1], x[:, 2])),
        8 * 8 * 8,
    ),
    "a matrix and a vector": (lambda: Applied(lambda x: x[0, 0] @ x[0, 0, 0]), 64),
    "two vectors": (lambda: Applied(lambda x: x.flatten().dot(x.flatten())), 192),
    "attention": (
        lambda: Applied(lambda x: nn.functional.scaled_dot_product_attention(x, x, x)),
        3 * 2 * 8 * 8 * 8,
    ),
    "a transformer's layer": (
        lambda: Applied(
            lambda x, layer: layer(x[:, 0]), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        ),
        8 * 4 * 8 * 8 + 2 * 8 * 8 * 8 + 2 * 8 * 8 * 16,
    ),
    "LSTM": (
        lambda: Applied(
            lambda x, r: r(x[:, 0])[0], nn.LSTM(8, 5, 2, batch_first=True, bidirectional=True)
        ),
        8 * 2 * 4 * 5 * ((8 + 5) + (10 + 5)),
    ),
    "GRU": (
        lambda: Applied(lambda x, r: r(x[:, 0])[0], nn.GRU(8, 5, batch_first=True)),
        8 * 3 * 5 * (8 + 5),
    ),
    "affine grid": (
        lambda: Applied(
            lambda x: nn.functional.affine_grid(
                x[:, 0, :2, :3], [x.shape[0], 1, 4, 5], align_corners=False
            )
        ),
        4 * 5 * 2 * 3,
    ),
    "values one by one": (lambda: Applied(lambda x: (x * x.sigmoid()).softmax(1).cumsum(2)), 0),
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_counted_however_they_are_written(name: str, device: str) -> None:
    build, macs = PRODUCTS[name]
    with torch.device(device):
        network = build()
    assert count_macs(network, (3, 8, 8)) == macs
    with torch.inference_mode():
        assert count_macs(network, (3, 8, 8)) == macs


def test_what_depends_on_the_batch_counts_and_what_weights_alone_make_does_not() -> None:
    layer = nn.Linear(7, 5)
    token = torch.ones(1, 7)
    expanded = Applied(lambda x, head: head(token.expand(x.shape[0], -1)) + x.mean(), layer)
    assert count_macs(expanded, (3, 8, 8)) == 35
    alone = Applied(lambda x, head: head(token) + x.mean(), layer)
    assert count_macs(alone, (3, 8, 8)) == 0


def test_an_operator_that_nobody_has_judged_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"runs aten\._fft_r2c\.default, whose multiply-adds"):
        count_macs(Applied(lambda x: torch.fft.rfft(x).abs()), (3, 8, 8))
    with torch.library._scoped_library("counting", "DEF") as library:
        library.define("mystery(Tensor x) -> Tensor")
        library.impl("mystery", lambda x: x.clone(), "CompositeExplicitAutograd")
        with pytest.raises(UserError, match=r"runs counting\.mystery\.default"):
            count_macs(Applied(torch.ops.counting.mystery), (3, 8, 8))


def test_a_summary_can_go_without_multiply_adds(caplog: pytest.LogCaptureFixture) -> None:
    assert macs_if_known(nn.Conv2d(3, 4, 1), (3, 8, 8)) == 3 * 4 * 64
    assert macs_if_known(Applied(lambda x: torch.fft.rfft(x).abs()), (3, 8, 8)) is None
    assert "multiply-adds aren't counted: the network runs aten._fft_r2c.default" in caplog.text


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
