"""Depthwise convolution with a weight gradient that is as fast as its forward on a CPU.

oneDNN computes the weight gradient of depthwise convolutions many times slower than their forward
unless they are 3×3 without dilation (docs/benchmarks.md).
"""

from __future__ import annotations

import ctypes
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from unas.compute.shapes import Images
from unas.nn.native import kernels_of
from unas.nn.weight_path import weight_path


class Geometry(NamedTuple):
    """A depthwise convolution's filters, the same in both directions.

    Args:
        kernel: k of k×k: 3, 5 or 7.
        stride: pixels from one place of the filter to the next.
        dilation: pixels from one element of the filter to the next.
        padding: pixels of zeros on each side of the images.
    """

    kernel: int
    stride: int
    dilation: int
    padding: int


class _Shape(ctypes.Structure):
    """`struct shape` of depthwise.c."""

    _fields_ = tuple(
        (name, ctypes.c_long)
        for name in (
            "height",
            "width",
            "channels",
            "out_height",
            "out_width",
            "kernel",
            "stride",
            "dilation",
            "padding",
        )
    )


class _ConvolvedImages(torch.autograd.Function):
    """The convolution, differentiable in its images alone."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.geometry = geometry
        _, stride, dilation, padding = geometry
        return F.conv2d(images, weight, None, stride, padding, dilation, weight.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        _, stride, dilation, padding = ctx.geometry
        image_gradient, _, _ = torch.ops.aten.convolution_backward(
            gradient,
            images,
            weight,
            bias_sizes=None,
            stride=[stride, stride],
            padding=[padding, padding],
            dilation=[dilation, dilation],
            transposed=False,
            output_padding=[0, 0],
            groups=weight.shape[0],
            output_mask=[True, False, False],  # of images, weight and bias
        )
        return image_gradient, None, None


class DepthwiseConv(nn.Conv2d):
    """One k×k filter a channel, no bias: [B, C, H, W] to [B, C, ⌈H/stride⌉, ⌈W/stride⌉].

    Args:
        channels: C.
        kernel: k, odd.
        stride: pixels from one place of the filter to the next.
        dilation: pixels from one element of the filter to the next.
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        padding = dilation * (kernel - 1) // 2
        super().__init__(
            channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False
        )
        is_supported = kernel in (3, 5, 7) and channels % 4 == 0
        # The one filter that oneDNN has a good kernel for.
        is_fast_already = kernel == 3 and dilation == 1
        self._suits_ours = is_supported and not is_fast_already

    def forward(self, images: Images) -> Float[Tensor, "images channels new_height new_width"]:
        """Return the filtered images."""
        if not self._uses_ours(images):
            return super().forward(images)
        geometry = Geometry(
            kernel=self.kernel_size[0],
            stride=self.stride[0],
            dilation=self.dilation[0],
            padding=int(self.padding[0]),
        )
        outcome: Tensor = _ConvolvedImages.apply(images, self.weight.detach(), geometry)
        if self.weight.requires_grad:
            gradient_of = partial(_weight_gradient, geometry)
            outcome = outcome + weight_path(
                self.weight, outcome.detach(), gradient_of, images.detach()
            )
        return outcome

    def _uses_ours(self, images: Tensor) -> bool:
        return (
            self._suits_ours
            and self.training  # in evaluation it is plain, for tracing and transforms
            and torch.is_grad_enabled()
            and images.device.type == "cpu"
            and images.dtype == self.weight.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and kernels_of("depthwise") is not None
        )


def depthwise_weight_gradient(images: Tensor, gradient: Tensor, geometry: Geometry) -> Tensor:
    """Return the gradient [C, 1, k, k] of a depthwise convolution's weight.

    Args:
        images: [B, C, H, W] float32 on the CPU; C is a multiple of 4.
        gradient: the loss's gradient in the convolution's outcome, [B, C, H', W'].
        geometry: the convolution's.
    """
    images = images.contiguous(memory_format=torch.channels_last)
    gradient = gradient.contiguous(memory_format=torch.channels_last)
    batch, channels, height, width = images.shape
    shape = _Shape(height, width, channels, *gradient.shape[2:], *geometry)
    weight_gradient = torch.empty(geometry.kernel, geometry.kernel, channels)
    kernels = kernels_of("depthwise")
    assert kernels is not None  # noqa: S101 - the caller has asked
    # One thread: others would wait for cores that PyTorch's own threads keep spinning on after each
    # of its operations.
    kernels.unas_depthwise_weight_gradient(
        ctypes.c_void_p(images.data_ptr()),
        ctypes.c_void_p(gradient.data_ptr()),
        ctypes.c_void_p(weight_gradient.data_ptr()),
        ctypes.byref(shape),
        ctypes.c_long(batch),
    )
    return weight_gradient.permute(2, 0, 1).unsqueeze(1)


def _weight_gradient(geometry: Geometry, gradient: Tensor, images: Tensor) -> Tensor:
    return depthwise_weight_gradient(images, gradient, geometry)
