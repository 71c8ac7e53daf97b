"""The depthwise convolution with our own weight gradient, against PyTorch's."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from unas.architecture.published import load_genotype
from unas.graphs.size import count_macs
from unas.nn import native
from unas.nn.depthwise import DepthwiseConv
from unas.spaces import create_network

compiled = pytest.mark.skipif(native.kernels_of("depthwise") is None, reason="needs a C compiler")


def images_of(channels: int, height: int, width: int) -> torch.Tensor:
    torch.manual_seed(0)
    return (
        torch.randn(5, channels, height, width)
        .contiguous(memory_format=torch.channels_last)
        .requires_grad_()
    )


@compiled
@pytest.mark.parametrize("channels", [4, 8, 12, 16, 36])
@pytest.mark.parametrize(("kernel", "dilation"), [(3, 2), (5, 1), (7, 1), (5, 2)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(8, 8), (7, 10), (2, 1)])
def test_outcome_and_gradients_are_pytorchs(
    channels: int, kernel: int, dilation: int, stride: int, size: tuple[int, int]
) -> None:
    conv, images = DepthwiseConv(channels, kernel, stride, dilation), images_of(channels, *size)
    assert conv._uses_ours(images)
    outcome = conv(images)
    plain = F.conv2d(images, conv.weight, None, stride, conv.padding, dilation, channels)
    torch.testing.assert_close(outcome, plain, rtol=0, atol=0)
    gradient = torch.randn_like(plain)
    ours = torch.autograd.grad(outcome, [images, conv.weight], gradient)
    theirs = torch.autograd.grad(plain, [images, conv.weight], gradient)
    for actual, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


@compiled
def test_a_gradient_nobody_asks_for_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr("unas.nn.depthwise.depthwise_weight_gradient", lambda *_: calls.append(1))
    conv, images = DepthwiseConv(8, 5), images_of(8, 6, 6)
    torch.autograd.grad(conv(images).sum(), [images])
    assert not calls


@pytest.mark.parametrize(
    "images",
    [
        pytest.param(torch.zeros(1, 8, 4, 4, dtype=torch.float64), id="float64"),
        pytest.param(torch.zeros(1, 8, 4, 4, device="meta"), id="another device"),
    ],
)
def test_pytorch_does_the_rest(images: torch.Tensor) -> None:
    conv = DepthwiseConv(8, 5).to(device=images.device, dtype=images.dtype)
    assert not conv._uses_ours(images)
    assert not DepthwiseConv(6, 5)._uses_ours(torch.zeros(1, 6, 4, 4))
    with torch.no_grad():
        assert not DepthwiseConv(8, 5)._uses_ours(torch.zeros(1, 8, 4, 4))


@pytest.mark.parametrize(
    "environment", [{"UNAS_NATIVE": "0"}, {"PATH": "/nowhere"}, {"XDG_CACHE_HOME": "/proc/none"}]
)
def test_without_a_kernel_pytorch_is_used(environment: dict[str, str]) -> None:
    code = "from unas.nn.native import kernels_of; print(kernels_of('depthwise'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "None"


def published_network() -> nn.Module:
    genotype = load_genotype("UNAS_CIFAR10")
    return create_network(genotype, 10, 3, channels=8, layers=3).eval()


@compiled
def test_a_network_in_evaluation_is_plain_for_traces_transforms_and_second_derivatives() -> None:
    network = published_network()
    images = torch.randn(2, 3, 16, 16)
    # Traces are to go, but are what many a device's tools still take.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, images)
    torch.testing.assert_close(traced(images), network(images))

    def loss(x: torch.Tensor) -> torch.Tensor:
        return network(x[None]).square().sum()

    by_transform = torch.func.vmap(torch.func.grad(loss))(images)
    images.requires_grad_()
    squares = network(images).square().sum()
    (by_autograd,) = torch.autograd.grad(squares, images, create_graph=True)
    torch.testing.assert_close(by_transform, by_autograd)
    (second,) = torch.autograd.grad(by_autograd.square().sum(), images)
    assert second.isfinite().all()


@compiled
def test_other_counters_see_all_multiply_adds_of_a_network_in_evaluation() -> None:
    network = published_network()
    with FlopCounterMode(display=False) as counter:
        network(torch.randn(1, 3, 16, 16))
    assert counter.get_total_flops() == 2 * count_macs(network, (3, 16, 16))
