"""How a network is trained from scratch: the published recipe by default (UNAS, section 4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from unas.common.errors import UserError
from unas.data import Augmentation

CosineSpan = Literal["after_warm_up", "all_epochs"]
Keep = Literal["last", "best"]


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained from scratch; the defaults are the published CIFAR-10 recipe.

    Args:
        epochs: epochs of the whole training.
        warm_up_epochs: epochs at the start over which the learning rate rises linearly.
        batch_size: images a step.
        lr: largest learning rate of SGD, at the end of warm-up, from where it falls along a cosine.
        cosine: "after_warm_up": the cosine is as long as the epochs after warm-up, and ends at 0;
            "all_epochs": it is as long as all epochs, and the training ends before it does, as
            published for ImageNet.
        momentum: momentum of SGD.
        weight_decay: L2 penalty.
        clip_norm: largest norm of the gradient.
        label_smoothing: share of the target that is spread over all classes.
        auxiliary_weight: weight of the auxiliary head's loss, where the network has one.
        augmentation: what is done at random to the training images.
        max_skipped: how many updates in a row may be left out because a number in them is not
            finite.
        validation_fraction: share of the training images that aren't trained on, but tell after
            each epoch how well the network does; 0: all are trained on, and the test images tell.
        keep: the weights that are delivered: "last", those after the last step; "best", those of
            the epoch with the highest accuracy on the images that were kept for validation.

    Raises:
        UserError: a field is out of its range.
    """

    epochs: int = 600
    warm_up_epochs: int = 30
    batch_size: int = 128
    lr: float = 0.05
    cosine: CosineSpan = "after_warm_up"
    momentum: float = 0.9
    weight_decay: float = 3e-4
    clip_norm: float = 5.0
    label_smoothing: float = 0.0
    auxiliary_weight: float = 0.4
    augmentation: Augmentation = Augmentation(crop_padding=4, flip=True, cutout=16)
    max_skipped: int = 20
    validation_fraction: float = 0.0
    keep: Keep = "last"

    def __post_init__(self) -> None:
        self._check_validation()
        self._require_at_least(1, "batch_size")
        self._require_at_least(0, "epochs", "warm_up_epochs", "max_skipped")
        self._require_at_least(0, "lr", "weight_decay", "auxiliary_weight")
        if not self.clip_norm > 0:
            raise UserError(f"training.clip_norm is {self.clip_norm}; it must be more than 0")
        if self.cosine not in get_args(CosineSpan):
            spans = " or ".join(get_args(CosineSpan))
            raise UserError(f"training.cosine is {self.cosine!r}; it must be {spans}")
        for name in ("momentum", "label_smoothing"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise UserError(f"training.{name} is {value}; it must be at least 0 and below 1")

    def _check_validation(self) -> None:
        fraction = self.validation_fraction
        if not 0 <= fraction < 1:
            raise UserError(
                f"training.validation_fraction is {fraction}; it must be at least 0 and below 1"
            )
        if self.keep not in get_args(Keep):
            kinds = " or ".join(get_args(Keep))
            raise UserError(f"training.keep is {self.keep!r}; it must be {kinds}")
        if self.keep == "best" and fraction == 0:
            raise UserError(
                "training.keep is 'best', but no images are kept for validation to tell which "
                "weights are; give training.validation_fraction, such as 0.1"
            )

    def _require_at_least(self, least: int, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not value >= least:
                raise UserError(f"training.{name} is {value}; it must be {least} or more")

    def lr_at(self, epoch: float) -> float:
        """Return the learning rate after a number of epochs, which may be a fraction."""
        if epoch < self.warm_up_epochs:
            return self.lr * epoch / self.warm_up_epochs
        cosine_epochs = self.epochs
        if self.cosine == "after_warm_up":
            cosine_epochs -= self.warm_up_epochs
        angle = math.pi * (epoch - self.warm_up_epochs) / max(cosine_epochs, 1e-12)
        return self.lr * (1 + math.cos(angle)) / 2
