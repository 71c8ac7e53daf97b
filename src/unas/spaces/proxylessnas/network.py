"""The network of one ProxylessNAS genotype, and where all networks of the space begin and end."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from unas.nn.mbconv import ConvBNReLU6, MBConv
from unas.spaces.proxylessnas.layers import FIRST_WIDTH, HEAD_WIDTH, STEM_WIDTH, layers, scaled


class MobileStem(nn.Sequential):
    """3×3 convolution of stride 2, then a fixed MBConv.

    Images [B, C, H, W] become a state [B, 24·width, ⌈H/2⌉, ⌈W/2⌉].
    """

    def __init__(self, image_channels: int, width: float, *, searching: bool) -> None:
        stem = scaled(STEM_WIDTH, width)
        first = scaled(FIRST_WIDTH, width)
        super().__init__(
            ConvBNReLU6(image_channels, stem, 3, 2, searching=searching),
            MBConv(stem, first, 3, 1, searching=searching),
        )


class MobileHead(nn.Module):
    """1×1 convolution to 1728·width channels, global average pooling, linear.

    A state [B, C, H, W] becomes logits [B, num_classes].
    """

    def __init__(self, channels: int, num_classes: int, width: float, *, searching: bool) -> None:
        super().__init__()
        features = scaled(HEAD_WIDTH, width)
        self.features = ConvBNReLU6(channels, features, 1, searching=searching)
        self.classifier = nn.Linear(features, num_classes)

    def forward(self, state: Tensor) -> Tensor:
        """Return the logits."""
        return self.classifier(self.features(state).mean((2, 3)))  # type: ignore[no-any-return]


class ProxylessNetwork(nn.Module):
    """The network of one genotype: images [B, C, H, W] to logits [B, num_classes].

    Args:
        options: what each layer is, by the layer's name.
        num_classes: how many classes the network tells apart.
        image_channels: channels of an image.
        width: what every number of channels is multiplied with.
    """

    def __init__(
        self, options: Mapping[str, str], num_classes: int, image_channels: int, *, width: float
    ) -> None:
        super().__init__()
        plan = layers(width)
        self.stem = MobileStem(image_channels, width, searching=False)
        self.layers = nn.Sequential(
            *(layer.build(options[layer.name], searching=False) for layer in plan)
        )
        self.head = MobileHead(plan[-1].channels_out, num_classes, width, searching=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        return self.head(self.layers(self.stem(images)))  # type: ignore[no-any-return]
