"""Training a network from scratch: one update of its weights, and how well it does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from unas.compute.finite import SkippedUpdates, WeightUpdates, carried_by_gradient
from unas.compute.ranks import others_needed
from unas.compute.runtime import Runtime, seed_step
from unas.compute.scores import Scores, Scoring
from unas.compute.shapes import Images, Labels, Scalar
from unas.compute.weights import load_weights
from unas.runs.checkpoints import load_into
from unas.training.config import TrainingConfig


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
) -> Scores:
    """Return how well a network does in evaluation mode.

    Of several processes, each has its own part of the batches, and the figures are those of all.
    """
    network.eval()
    scoring = Scoring()
    for images, labels in batches:
        with runtime.computing(), runtime.autocast():
            logits = network(images).float()
        scoring.add(logits, labels)
    return scoring.result(runtime.ranks)
