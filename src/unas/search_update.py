"""One step of the search: the policy, then the supernet's weights (UNAS, algorithm 1; SPEC §3)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unas.estimators import draw_hard, draw_relaxed
from unas.objectives import Evaluation
from unas.policy import Policy, Sample
from unas.runtime import Runtime
from unas.search_config import AdamConfig, SearchConfig
from unas.seeds import generator_for
from unas.spaces import SearchSpace


class SupernetCost:
    """The cost of architectures on one training and one validation batch, as estimators want it.

    Remembers the training losses of the first drawn sample of the kind that the weights are trained on, so that the
    update of the weights needs no forward of its own.
    """

    def __init__(self, search: SearchStep, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
        self.search = search
        self.batch = batch
        self.train_losses: Tensor | None = None
        self.terms: dict[str, float] = {}

    def __call__(self, sample: Sample) -> Tensor:
        """Return the cost of each architecture, [G], on the host."""
        x, y, x_val, y_val = self.batch
        search = self.search
        is_wanted = sample.is_hard == (search.config.weights_on == "hard") and search.estimator.draws_from_policy
        keep = is_wanted and self.train_losses is None
        with torch.enable_grad() if keep else nullcontext():
            train = search.losses(x, y, sample)
        if keep:
            self.train_losses = train
        needs_validation = any(term.needs_validation for term in search.config.objectives.values())
        validation = search.losses(x_val, y_val, sample) if needs_validation else None
        evaluation = Evaluation(search.space, sample, train, validation)
        values = {name: term(evaluation).to("cpu") for name, term in search.config.objectives.items()}
        if sample.is_hard or not self.terms:
            self.terms = {name: float(value.detach().mean()) for name, value in values.items()}
        step = search.policy_steps
        weighted = [term.weight_at(step) * values[name] for name, term in search.config.objectives.items()]
        return torch.stack(weighted).sum(0)


class SearchStep:
    """One whole update: the policy, then the weights.

    Args:
        space: the search space.
        config: how the search goes.
        num_classes: classes of the images.
        image_channels: channels of the images.
        runtime: device and precision.
        seed: of the weights and of all noise.
        total_steps: steps of the whole search, over which learning rates fall; None keeps them constant.

    Raises:
        UserError: a term of the cost means nothing in this space.
    """

    def __init__(
        self,
        space: SearchSpace,
        config: SearchConfig,
        num_classes: int,
        image_channels: int,
        runtime: Runtime,
        *,
        seed: int = 0,
        total_steps: int | None = None,
    ) -> None:
        for term in config.objectives.values():
            term.check(space)
        self.space, self.config, self.runtime, self.seed = space, config, runtime, seed
        self.total_steps = total_steps
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.supernet = space.supernet(num_classes, image_channels).to(runtime.device)
        self.policy = Policy(space.choices, config.softening, space.name)
        self.estimator = replace(config.estimator)
        self.weights = list(self.supernet.parameters())
        self.weight_optimiser = _adam(self.weights, config.weights)
        self.policy_optimiser = _adam(list(self.policy.parameters()), config.policy)
        self.steps = 0
        self.policy_steps = 0

    def __call__(self, x: Tensor, y: Tensor, x_val: Tensor, y_val: Tensor) -> dict[str, float]:
        """Update the policy on a training and a validation batch, then the weights on the training batch.

        Args:
            x: normalised training images [B, C, H, W].
            y: their labels [B].
            x_val: validation images, as many.
            y_val: their labels.

        Returns:
            the terms of the cost and the training loss, by name.
        """
        cost = SupernetCost(self, (x, y, x_val, y_val))
        num_samples = self.config.num_architectures(len(x))
        generator = generator_for(self.seed, "search/policy", self.steps)
        policy_loss = self.estimator(self.policy, cost, num_samples=num_samples, generator=generator)
        logits = list(self.policy.parameters())
        gradients = torch.autograd.grad(policy_loss, logits, retain_graph=cost.train_losses is not None)
        self._apply(self.policy_optimiser, self.config.policy, gradients)
        train_losses = cost.train_losses if cost.train_losses is not None else self._drawn_losses(x, y)
        loss = self._update_weights(train_losses.mean())
        self.policy_steps += 1
        return {**cost.terms, "train_loss": loss, "entropy": float(self.policy.entropy().detach())}

    def warm_up(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """Update the weights alone."""
        return {"train_loss": self._update_weights(self._drawn_losses(x, y).mean())}

    def logits(self, images: Tensor, sample: Sample) -> Tensor:
        """Return the supernet's logits [B, classes] in float32, or more if the images have more."""
        with self.runtime.autocast():
            logits: Tensor = self.supernet(images, sample)
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def losses(self, images: Tensor, labels: Tensor, sample: Sample) -> Tensor:
        """Return the cross-entropy of each image, [B]."""
        return F.cross_entropy(self.logits(images, sample), labels, reduction="none")

    def _drawn_losses(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the cross-entropy of each image, [B], under a sample drawn for the weights alone."""
        generator = generator_for(self.seed, "search/weights", self.steps)
        num_samples = self.config.num_architectures(len(x))
        if self.config.weights_on == "hard":
            return self.losses(x, y, draw_hard(self.policy, num_samples, generator))
        sample = draw_relaxed(self.policy, num_samples, self.config.relaxed_temperature, generator)
        return self.losses(x, y, sample.detach())

    def _update_weights(self, loss: Tensor) -> float:
        # An operation that no image went through has gradient zero, so every step updates every weight.
        gradients = torch.autograd.grad(loss, self.weights, materialize_grads=True)
        self._apply(self.weight_optimiser, self.config.weights, gradients, self.config.clip_norm)
        self.steps += 1
        return float(loss.detach())

    def _apply(
        self,
        optimiser: torch.optim.Adam,
        config: AdamConfig,
        gradients: Sequence[Tensor],
        clip_norm: float | None = None,
    ) -> None:
        group = optimiser.param_groups[0]
        group["lr"] = config.lr_at(self.steps / self.total_steps if self.total_steps else 0.0)
        for parameter, gradient in zip(group["params"], gradients, strict=True):
            parameter.grad = gradient
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(group["params"], clip_norm)
        optimiser.step()
        optimiser.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """Return all that a search needs to go on, apart from its configuration."""
        return {
            "supernet": self.supernet.state_dict(),
            "policy": self.policy.state_dict(),
            "estimator": self.estimator.state_dict(),
            "weight_optimiser": self.weight_optimiser.state_dict(),
            "policy_optimiser": self.policy_optimiser.state_dict(),
            "steps": self.steps,
            "policy_steps": self.policy_steps,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        for name in ("supernet", "policy", "estimator", "weight_optimiser", "policy_optimiser"):
            getattr(self, name).load_state_dict(state[name])
        self.steps, self.policy_steps = state["steps"], state["policy_steps"]


def _adam(parameters: list[nn.Parameter], config: AdamConfig) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=config.lr, weight_decay=config.weight_decay)
