"""The supernet of the ProxylessNAS space: every operation of every layer, shared by all."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unas.architecture.policy import Sample
from unas.nn.choice import OpChoice
from unas.nn.mixed import BatchNormRows
from unas.spaces.proxylessnas.layers import SKIP, Layer, layers
from unas.spaces.proxylessnas.network import MobileHead, MobileStem

SKIP_DROPOUT = 0.1


class ProxylessSupernet(nn.Module):
    """All architectures of a ProxylessNAS space at once (ProxylessNAS, section 3.1).

    A relaxed sample runs every operation, a hard one only those that were picked. What a skipped
    layer hands on goes through dropout in training mode, which draws from PyTorch's default
    generator of the images' device.

    Args:
        num_classes: length of the logits.
        image_channels: channels of the images.
        width: what every number of channels is multiplied with.
        bn: what a hard sample's BatchNorm takes its statistics over; see `unas.nn.choice.OpChoice`.
    """

    def __init__(
        self, num_classes: int, image_channels: int, *, width: float, bn: BatchNormRows
    ) -> None:
        super().__init__()
        plan = layers(width)
        self.stem = MobileStem(image_channels, width, searching=True)
        self.layers = nn.ModuleList()
        for layer in plan:
            candidates = {option: _candidate(layer, option) for option in layer.options}
            self.layers.append(OpChoice(candidates, name=layer.name, bn=bn))
        self.head = MobileHead(plan[-1].channels_out, num_classes, width, searching=True)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor, sample: Sample) -> Tensor:
        """Return the logits [B, num_classes] of images [B, C, H, W] under G architectures.

        G divides B.
        """
        moved = sample.to(images.device)
        state = self.stem(images.contiguous(memory_format=torch.channels_last))
        for layer in self.layers:
            state = layer(state, moved)
        return self.head(state)  # type: ignore[no-any-return]


def _candidate(layer: Layer, option: str) -> nn.Module:
    return nn.Dropout(SKIP_DROPOUT) if option == SKIP else layer.build(option, searching=True)
