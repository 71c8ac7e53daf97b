"""The first layers of networks in the DARTS space, in the search and after it."""

from __future__ import annotations

from torch import Tensor, nn


def _norm(channels: int, *, searching: bool) -> nn.BatchNorm2d:
    # Affine in the search too, unlike in the cells (SPEC: 2,479,866 parameters).
    return nn.BatchNorm2d(channels, track_running_stats=not searching)


class CifarStem(nn.Module):
    """3×3 convolution and BatchNorm: images [B, C, H, W] to two equal states [B, width, H, W]."""

    reduces = False

    def __init__(self, image_channels: int, width: int, *, searching: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(image_channels, width, 3, padding=1, bias=False)
        self.bn = _norm(width, searching=searching)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states that the first cell takes."""
        state = self.bn(self.conv(images))
        return state, state


class ImageNetStem(nn.Module):
    """Three 3×3 convolutions of stride 2: images [B, C, H, W] to [B, width, H/4, W/4] and [B, width, H/8, W/8]."""

    reduces = True

    def __init__(self, image_channels: int, width: int, *, searching: bool) -> None:
        super().__init__()
        self.stem0 = nn.Sequential(
            nn.Conv2d(image_channels, width // 2, 3, 2, 1, bias=False),
            _norm(width // 2, searching=searching),
            nn.ReLU(),
            nn.Conv2d(width // 2, width, 3, 2, 1, bias=False),
            _norm(width, searching=searching),
        )
        self.stem1 = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, 3, 2, 1, bias=False), _norm(width, searching=searching)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states that the first cell takes."""
        first = self.stem0(images)
        return first, self.stem1(first)
