"""What the supernet makes of images under sampled architectures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unas.architecture.policy import Sample
from unas.common.errors import UserError
from unas.compute.runtime import Runtime, seed_step
from unas.compute.shapes import Images, Labels, Logits, PerImage


@contextmanager
def _explained_batch_norm() -> Iterator[None]:
    """Say in the terms of a search what PyTorch says of a single value a channel."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            "an operation got one image of one pixel, of which BatchNorm has no statistics; use "
            'bn="batch", fewer architectures a batch or larger images (docs/bn.md)'
        ) from error


@dataclass(frozen=True)
class Losses:
    """The losses of a supernet on images that are shared out to the architectures of a sample.

    Args:
        supernet: maps images [B, C, H, W] and a sample of G architectures to logits.
        runtime: the device that it is on, and the precision.
    """

    supernet: nn.Module
    runtime: Runtime

    def __call__(self, images: Images, labels: Labels, sample: Sample) -> PerImage:
        """Return the cross-entropy of each image, [B]."""
        return F.cross_entropy(self.logits(images, sample), labels, reduction="none")

    def logits(self, images: Images, sample: Sample) -> Logits:
        """Return the logits [B, classes] in float32, or more if the images have more.

        Raises:
            UserError: a BatchNorm has a single value a channel.
        """
        with self.runtime.autocast(), _explained_batch_norm():
            logits: Tensor = self.supernet(images, sample)
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    @contextmanager
    def noise(self, seed: int, step: int) -> Iterator[None]:
        """Make what the supernet itself draws in the block (dropout) a function of seed and step.

        Torch's generators are afterwards as they were before.
        """
        device = self.runtime.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            seed_step(seed, "search/network", step, self.runtime.ranks.rank)
            yield
