"""The depthwise convolution with our own weight gradient, against PyTorch's."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from unas.nn import native
from unas.nn.depthwise import DepthwiseConv

compiled = pytest.mark.skipif(native.depthwise_kernel() is None, reason="needs a C compiler")


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
    code = "from unas.nn.native import depthwise_kernel; print(depthwise_kernel())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "None"
