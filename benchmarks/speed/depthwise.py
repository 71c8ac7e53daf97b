"""The weight gradient of depthwise convolutions, ours beside PyTorch's."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from speed.section import Section, Settings
from speed.turns import Timed, clocked, in_turn
from unas.nn.depthwise import Geometry, depthwise_weight_gradient
from unas.nn.native import kernels_of

SIZES = ((16, 32), (32, 16), (64, 8))  # channels and side
FILTERS = ((3, 1), (3, 2), (5, 1), (7, 1))  # kernel and dilation


def depthwise(settings: Settings) -> Section:
    """Time every filter at the sizes of a CIFAR supernet."""
    rows = []
    figures = {}
    if kernels_of("depthwise") is None:
        print("  left out: there is no C compiler, so nothing to compare", flush=True)
    else:
        for channels, side in SIZES:
            shape = (settings.batch, channels, side, side)
            for kernel, dilation in FILTERS:
                name = f"{list(shape)}, {kernel}×{kernel}, dilation {dilation}"
                turns = in_turn(_timed(shape, kernel, dilation), settings.pairs)
                figures[name] = turns.seconds
                theirs = f"{1e3 * turns.median('PyTorch'):.3f}"
                ours = f"{1e3 * turns.median('ours'):.3f}"
                rows.append((name, theirs, ours, *turns.cells("ours", "PyTorch")[1:]))
    return Section(
        "Weight gradient of depthwise convolutions",
        f"Ours runs on one thread, medians of {settings.pairs} pairs. Plain 3×3 filters stay with "
        "PyTorch.",
        ("images, filter", "PyTorch, ms", "ours, ms", "ratio", "least to largest"),
        rows,
        figures,
    )


def _timed(shape: tuple[int, int, int, int], kernel: int, dilation: int) -> dict[str, Timed]:
    channels = shape[1]
    images = torch.randn(shape).to(memory_format=torch.channels_last)
    gradient = torch.randn(shape).to(memory_format=torch.channels_last)
    weight = torch.randn(channels, 1, kernel, kernel).to(memory_format=torch.channels_last)
    geometry = Geometry(kernel, 1, dilation, dilation * (kernel - 1) // 2)
    cpu = torch.device("cpu")
    return {
        "PyTorch": clocked(partial(_of_pytorch, images, gradient, weight, geometry), cpu),
        "ours": clocked(partial(depthwise_weight_gradient, images, gradient, geometry), cpu),
    }


def _of_pytorch(images: Tensor, gradient: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    weight_gradient: Tensor
    _, weight_gradient, _ = torch.ops.aten.convolution_backward(
        gradient,
        images,
        weight,
        bias_sizes=None,
        stride=[1, 1],
        padding=[geometry.padding] * 2,
        dilation=[geometry.dilation] * 2,
        transposed=False,
        output_padding=[0, 0],
        groups=images.shape[1],
        output_mask=[False, True, False],
    )
    return weight_gradient
