"""Training a network from scratch: the published recipe by default (UNAS, section 4)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from unas.common.errors import UserError
from unas.compute.finite import SkippedUpdates, WeightUpdates, carried_by_gradient
from unas.compute.ranks import others_needed
from unas.compute.runtime import Runtime, seed_step
from unas.compute.shapes import Images, Labels, Scalar
from unas.compute.weights import load_weights
from unas.data import Augmentation
from unas.runs.checkpoints import load_into

CosineSpan = Literal["after_warm_up", "all_epochs"]


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

    def __post_init__(self) -> None:
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


class TrainingStep:
    """One update of a network's weights.

    Args:
        network: maps images to logits, or in training mode to (logits, auxiliary_logits).
        config: how to train.
        runtime: device, precision and the processes that train together; their gradients are
            averaged.
        seed: the run's seed, on which drop-path and dropout depend.
        steps_per_epoch: steps after which the learning rate's schedule counts one epoch.
    """

    def __init__(
        self,
        network: nn.Module,
        config: TrainingConfig,
        runtime: Runtime,
        seed: int,
        steps_per_epoch: int,
    ) -> None:
        self.network = network.to(runtime.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.config = config
        self.runtime = runtime
        self.seed = seed
        self.steps_per_epoch = steps_per_epoch
        self._replica = _replica(self.network) if runtime.ranks.size > 1 else self.network
        self.optimiser = torch.optim.SGD(
            [weight for weight in self.network.parameters() if weight.requires_grad],
            config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
        self._updates = WeightUpdates(self.network, self.optimiser, config.clip_norm)
        self.skipped = SkippedUpdates(config.max_skipped)

    def __call__(self, step: int, images: Images, labels: Labels) -> dict[str, float]:
        """Update the weights on a batch and return the figures of the step.

        Of several processes, each has its own part of the batch, and the loss is the mean of all.

        Args:
            step: the number of the step, from 0.
            images: normalised images [B, C, H, W].
            labels: their classes [B].
        """
        epoch = step / self.steps_per_epoch
        seed_step(self.seed, "training/network", step, self.runtime.ranks.rank)
        if hasattr(self.network, "set_progress"):
            self.network.set_progress(epoch / self.config.epochs)
        # The last of a step's updates, so that warm-up's first step has a learning rate above zero.
        self.optimiser.param_groups[0]["lr"] = self.config.lr_at((step + 1) / self.steps_per_epoch)
        self._replica.train()
        # DistributedDataParallel averages gradients in the backward pass.
        with others_needed(computes=True):
            loss = self._loss(images, labels)
            carried_by_gradient(loss).backward()  # type: ignore[no-untyped-call]
        value, is_updated = self._updates(loss)
        self.skipped.note(is_updated=is_updated)
        return self.runtime.ranks.mean_figures({"loss": value, **self.skipped.figures()})

    def _loss(self, images: Images, labels: Labels) -> Scalar:
        with self.runtime.autocast():
            outputs = self._replica(images)
        logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        smoothing = self.config.label_smoothing
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
        for logits in auxiliary:
            auxiliary_loss = F.cross_entropy(logits.float(), labels, label_smoothing=smoothing)
            loss = loss + self.config.auxiliary_weight * auxiliary_loss
        return loss

    def watched(self) -> dict[str, float]:
        """Return the learning rate of the last step, and the norm of its gradient."""
        lr = self.optimiser.param_groups[0]["lr"]
        return {"lr": lr, "gradient_norm": self._updates.norm}

    def share_statistics(self) -> None:
        """Take BatchNorm's statistics of rank 0, which saves them: in a step each has its own."""
        self.runtime.ranks.copy_from_main(self.network.buffers())
        self._updates.keep()

    def named_tensors(self) -> dict[str, Tensor]:
        """Return what is the same on every process after each step: the weights."""
        return {f"network {name}": parameter for name, parameter in self.network.named_parameters()}

    def state_dict(self) -> dict[str, Any]:
        """Return all that a training needs to go on, apart from its configuration."""
        return {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "skips": self.skipped.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        load_weights(self.network, state["network"])
        load_into(self.optimiser, state["optimiser"])
        self._updates.keep()
        if "skips" in state:  # they were not counted from the first
            self.skipped.load_state_dict(state["skips"])


def _replica(network: nn.Module) -> nn.Module:
    """Return the network as one of several processes trains it.

    It averages gradients while the backward pass still runs, and hands BatchNorm's statistics of
    rank 0 to all.
    """
    # Which parameters a decided network uses never changes: those behind an input that was not
    # picked are never used.
    return DistributedDataParallel(network, static_graph=True)


@torch.no_grad()
def evaluate(
    network: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], runtime: Runtime
) -> tuple[float, float]:
    """Return (accuracy from 0 to 1, mean cross-entropy) of a network in evaluation mode.

    Of several processes, each has its own part of the batches, and the figures are those of all.
    """
    network.eval()
    correct, loss, total = 0.0, 0.0, 0.0
    for images, labels in batches:
        with runtime.autocast():
            logits = network(images).float()
        correct += int((logits.argmax(1) == labels).sum())
        loss += float(F.cross_entropy(logits, labels, reduction="sum"))
        total += len(labels)
    correct, loss, total = runtime.ranks.sum(correct, loss, total)
    return correct / total, loss / total
