"""Where a DARTS network begins and ends: its stems and its auxiliary head (DARTS, appendix A.1)."""

from __future__ import annotations

from torch import Tensor, nn

from unas.common.errors import UserError
from unas.nn.ops import batch_norm


def _norm(channels: int, *, searching: bool) -> nn.BatchNorm2d:
    # Affine in the search too, unlike in the cells.
    return nn.BatchNorm2d(channels, track_running_stats=not searching)


def _stem_conv(channels_in: int, channels_out: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)


class CifarStem(nn.Module):
    """3×3 convolution, BatchNorm: images [B, C, H, W] to two equal states [B, width, H, W]."""

    reduces = False

    def __init__(self, image_channels: int, width: int, *, searching: bool) -> None:
        super().__init__()
        self.conv = _stem_conv(image_channels, width, 1)
        self.bn = _norm(width, searching=searching)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two states that the first cell takes."""
        state = self.bn(self.conv(images))
        return state, state


class ImageNetStem(nn.Module):
    """Three 3×3 convolutions of stride 2.

    Images [B, C, H, W] become two states, [B, width, H/4, W/4] and [B, width, H/8, W/8].
    """

    reduces = True

    def __init__(self, image_channels: int, width: int, *, searching: bool) -> None:
        super().__init__()
        self.stem0 = nn.Sequential(
            _stem_conv(image_channels, width // 2, 2),
            _norm(width // 2, searching=searching),
            nn.ReLU(),
            _stem_conv(width // 2, width, 2),
            _norm(width, searching=searching),
        )
        self.stem1 = nn.Sequential(
            nn.ReLU(), _stem_conv(width, width, 2), _norm(width, searching=searching)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two states that the first cell takes."""
        before = self.stem0(images)
        return before, self.stem1(before)


class AuxiliaryHead(nn.Module):
    """A second classifier on an inner state, used in training only.

    It maps a state [B, C, H, W] to logits [B, num_classes].
    """

    def __init__(self, channels: int, num_classes: int, *, stride: int) -> None:
        super().__init__()
        # The 2×2 convolution needs two positions of the pooling window.
        self.smallest = 5 + stride
        self.features = nn.Sequential(
            nn.ReLU(),
            nn.AvgPool2d(5, stride, count_include_pad=False),
            nn.Conv2d(channels, 128, 1, bias=False),
            batch_norm(128, searching=False),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            batch_norm(768, searching=False),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, num_classes)

    def forward(self, state: Tensor) -> Tensor:
        """Return the auxiliary logits.

        Raises:
            UserError: the state is too small for the head.
        """
        height, width = state.shape[2:]
        if min(height, width) < self.smallest:
            raise UserError(
                f"network.auxiliary is true, but these images leave {height}×{width} "
                f"at the auxiliary head, which needs {self.smallest}×{self.smallest}; "
                "set auxiliary to false or use larger images"
            )
        # Larger images than the published ones leave more than one position; their mean is the
        # usual head's value.
        return self.classifier(self.features(state).mean((2, 3)))  # type: ignore[no-any-return]
