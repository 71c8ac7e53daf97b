"""The mobile inverted bottleneck (MobileNetV2, section 3; ProxylessNAS, section 4.1)."""

from __future__ import annotations

from torch import Tensor, nn

from unas.nn.depthwise import DepthwiseConv

EPSILON = 1e-3


def mobile_norm(channels: int, *, searching: bool) -> nn.BatchNorm2d:
    """Return affine BatchNorm of ε = 1e-3; in a search with the statistics of the batch."""
    return nn.BatchNorm2d(channels, EPSILON, track_running_stats=not searching)


class ConvBNReLU6(nn.Sequential):
    """k×k convolution, BatchNorm, ReLU6: [B, C_in, H, W] to [B, C_out, ⌈H/stride⌉, ⌈W/stride⌉]."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, *, searching: bool
    ) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
            mobile_norm(channels_out, searching=searching),
            nn.ReLU6(inplace=True),
        )


class MBConv(nn.Module):
    """Widen, filter each channel, narrow: [B, C_in, H, W] to [B, C_out, ⌈H/stride⌉, ⌈W/stride⌉].

    1×1 convolution to e·C_in channels, BatchNorm, ReLU6 (left out for e = 1); depthwise k×k,
    BatchNorm, ReLU6; 1×1 to C_out, BatchNorm. The input is added where the stride is 1 and the
    width does not change.

    Args:
        channels_in: C_in.
        channels_out: C_out.
        kernel: k, odd.
        expansion: e, a whole number.
        stride: of the depthwise convolution.
        searching: BatchNorm uses the statistics of the batch, in evaluation too.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        expansion: int,
        stride: int = 1,
        *,
        searching: bool,
    ) -> None:
        super().__init__()
        inner = expansion * channels_in
        self.expand: nn.Module = nn.Identity()
        if expansion > 1:
            self.expand = ConvBNReLU6(channels_in, inner, 1, searching=searching)
        # In place, as in `ConvBNReLU6`: no backward wants what the normalisation gave, and a
        # supernet holds many.
        self.filter = nn.Sequential(
            DepthwiseConv(inner, kernel, stride),
            mobile_norm(inner, searching=searching),
            nn.ReLU6(inplace=True),
        )
        self.project = nn.Sequential(
            nn.Conv2d(inner, channels_out, 1, bias=False),
            mobile_norm(channels_out, searching=searching),
        )
        self.has_shortcut = stride == 1 and channels_in == channels_out

    def forward(self, images: Tensor) -> Tensor:
        """Return the outcome."""
        outcome: Tensor = self.project(self.filter(self.expand(images)))
        return images + outcome if self.has_shortcut else outcome
