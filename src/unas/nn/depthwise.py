"""Depthwise convolution with a weight gradient that is as fast as its forward on a CPU."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from unas.compute.shapes import Images
from unas.nn.native import Geometry, depthwise_kernel, depthwise_weight_gradient
from unas.nn.weight_path import weight_path


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
            and depthwise_kernel() is not None
        )


def _weight_gradient(geometry: Geometry, gradient: Tensor, images: Tensor) -> Tensor:
    return depthwise_weight_gradient(images, gradient, geometry)
