"""One step of the search: the policy, then the supernet's weights (UNAS, algorithm 1; SPEC §3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unas.architecture.policy import Policy, Sample
from unas.common.errors import UserError
from unas.compute.finite import (
    Skips,
    WeightUpdates,
    all_finite,
    carried_by_gradient,
    step_if_all_finite,
)
from unas.compute.ranks import Ranks
from unas.compute.runtime import Runtime, seed_step
from unas.compute.seeds import generator_for
from unas.estimators import RunningEstimator, draw_hard, draw_relaxed
from unas.objectives import Objective, PolicyTerm, RunningTerm
from unas.runs.checkpoints import load_into, whole
from unas.searching.config import AdamConfig, SearchConfig
from unas.searching.cost import SharedCost, SupernetCost, own_part
from unas.spaces import SearchSpace

NO_TERMS: Mapping[str, RunningTerm] = MappingProxyType({})


class SearchStep:
    """One whole update: the policy, then the weights.

    Args:
        space: the search space.
        config: how the search goes.
        num_classes: classes of the images.
        image_channels: channels of the images.
        runtime: device and precision.
        seed: of the weights and of all noise.
        total_steps: steps of the whole search, over which learning rates fall; None keeps them
            constant.
        policy_terms: the started terms of the configuration that have nothing to do with images, by
            name.

    Raises:
        UserError: a term of the cost means nothing in this space, or a policy term isn't started.
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
        policy_terms: Mapping[str, RunningTerm] = NO_TERMS,
    ) -> None:
        for name, term in config.objectives.items():
            term.check(space)
            if isinstance(term, PolicyTerm) and name not in policy_terms:
                raise UserError(
                    f"objective {name} is about the deployed network of images of a size; give image_size"
                )
        self.image_terms = {
            n: term for n, term in config.objectives.items() if isinstance(term, Objective)
        }
        self.policy_terms = policy_terms
        self.space, self.config, self.runtime, self.seed = space, config, runtime, seed
        self.total_steps = total_steps
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.supernet = space.supernet(num_classes, image_channels).to(runtime.device)
        self.policy = Policy(space.choices, config.softening, space.registry_name)
        self.estimator = config.estimator.start(self.policy.layout)
        self.weights = list(self.supernet.parameters())
        self.weight_optimiser = _adam(self.weights, config.weights)
        self.policy_optimiser = _adam(list(self.policy.parameters()), config.policy)
        self._weight_updates = WeightUpdates(self.supernet, self.weight_optimiser, config.clip_norm)
        self.skips = Skips(config.max_skipped)
        self.steps = 0
        self.policy_steps = 0

    @property
    def ranks(self) -> Ranks:
        """The processes that search together."""
        return self.runtime.ranks

    def __call__(self, x: Tensor, y: Tensor, x_val: Tensor, y_val: Tensor) -> dict[str, float]:
        """Update the policy on a training and a validation batch, then the weights on the training batch.

        Args:
            x: normalised training images [B, C, H, W]; of several processes, the part of this one.
            y: their labels [B].
            x_val: validation images, as many.
            y_val: their labels.

        Returns:
            the terms of the cost and the training loss, by name.
        """
        with self._network_noise():
            cost = SupernetCost(self, (x, y, x_val, y_val))
            is_policy_updated = self._update_policy(cost)
            loss, are_weights_updated = self._update_weights(self.weight_loss(cost))
        self.skips.note(is_updated=is_policy_updated and are_weights_updated)
        self.policy_steps += 1
        entropy = float(self.policy.entropy().detach())
        terms = {**self.ranks.mean_figures(cost.terms), "train_loss": loss, "entropy": entropy}
        for running in self.policy_terms.values():
            terms |= running.figures(self.policy)
        return terms | self.skips.figures()

    def policy_gradients(self, cost: SupernetCost) -> tuple[Tensor, ...]:
        """Return the estimator's gradient of the expected cost in the logits of each choice."""
        generator = generator_for(self.seed, "search/policy", self.steps)
        num_samples = self.own_architectures(len(cost.batch[0])) * self.ranks.size
        shared = SharedCost(cost, self.ranks, num_samples)
        policy_loss = self.estimator(
            self.policy, shared, num_samples=num_samples, generator=generator
        )
        for name, term in self.policy_terms.items():
            noise = generator_for(self.seed, f"search/terms/{name}", self.steps)
            policy_loss = policy_loss + term.loss(self.policy, self.policy_steps, noise)
        if not all_finite([each.state_dict() for each in self._learning]):
            policy_loss = policy_loss * torch.nan
        logits = list(self.policy.parameters())
        keep = cost.train_losses is not None
        return torch.autograd.grad(carried_by_gradient(policy_loss), logits, retain_graph=keep)

    def weight_loss(self, cost: SupernetCost) -> Tensor:
        """Return the mean training loss that the weights follow; of the cost's own forward if it has made one."""
        x, y, *_ = cost.batch
        return (
            cost.train_losses if cost.train_losses is not None else self._drawn_losses(x, y)
        ).mean()

    def warm_up(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """Update the weights alone."""
        with self._network_noise():
            loss, is_updated = self._update_weights(self._drawn_losses(x, y).mean())
        self.skips.note(is_updated=is_updated)
        return {"train_loss": loss, **self.skips.figures()}

    def logits(self, images: Tensor, sample: Sample) -> Tensor:
        """Return the supernet's logits [B, classes] in float32, or more if the images have more."""
        with self.runtime.autocast():
            logits: Tensor = self.supernet(images, sample)
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def losses(self, images: Tensor, labels: Tensor, sample: Sample) -> Tensor:
        """Return the cross-entropy of each image, [B]."""
        return F.cross_entropy(self.logits(images, sample), labels, reduction="none")

    @contextmanager
    def _network_noise(self) -> Iterator[None]:
        """Make what the supernet itself draws (dropout) a function of the step, and leave torch's generators alone."""
        device = self.runtime.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            seed_step(self.seed, "search/network", self.steps, self.ranks.rank)
            yield

    @property
    def _learning(self) -> tuple[RunningEstimator, ...]:
        """What learns from the costs of a step, beside the policy."""
        return (self.estimator, *(term.estimator for term in self.policy_terms.values()))

    def own_architectures(self, batch: int) -> int:
        """Return how many architectures this process's so many images are shared out to, G/N of N processes."""
        total = self.config.num_architectures(batch * self.ranks.size)
        return self.ranks.share(total, "search.architectures_per_batch")

    def named_tensors(self) -> dict[str, Tensor]:
        """Return what is the same on every process after each step: the policy's logits and the weights."""
        parts = {"policy": self.policy, "supernet": self.supernet}
        return {
            f"{part} {name}": p
            for part, module in parts.items()
            for name, p in module.named_parameters()
        }

    def _drawn_losses(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the cross-entropy of each image, [B], under a sample drawn for the weights alone."""
        generator = generator_for(self.seed, "search/weights", self.steps)
        num_samples = self.own_architectures(len(x)) * self.ranks.size
        if self.config.weights_on == "hard":
            sample = draw_hard(self.policy, num_samples, generator)
        else:
            sample = draw_relaxed(
                self.policy, num_samples, self.config.relaxed_temperature, generator
            ).detach()
        return self.losses(x, y, own_part(sample, self.ranks, num_samples))

    def _update_policy(self, cost: SupernetCost) -> bool:
        """Return whether the policy was updated; if not, no estimator has learned from the step."""
        learning = self._learning
        before = [estimator.state for estimator in learning]
        self._set(self.policy_optimiser, self.config.policy, self.policy_gradients(cost))
        is_updated = step_if_all_finite(self.policy_optimiser)
        self.policy_optimiser.zero_grad()
        if not is_updated:
            for estimator, state in zip(learning, before, strict=True):
                estimator.state = state
        return is_updated

    def _update_weights(self, loss: Tensor) -> tuple[float, bool]:
        """Return the loss, and whether the weights were updated."""
        # An operation that no image went through has gradient zero, so every step updates every
        # weight.
        own = torch.autograd.grad(carried_by_gradient(loss), self.weights, materialize_grads=True)
        *gradients, loss = self.ranks.mean([*own, loss.detach()])
        self._set(self.weight_optimiser, self.config.weights, gradients)
        self.steps += 1
        return self._weight_updates(loss)

    def _set(
        self, optimiser: torch.optim.Adam, config: AdamConfig, gradients: Sequence[Tensor]
    ) -> None:
        """Set the learning rate of this step and the gradients."""
        group = optimiser.param_groups[0]
        group["lr"] = config.lr_at(self.steps / self.total_steps if self.total_steps else 0.0)
        for parameter, gradient in zip(group["params"], gradients, strict=True):
            parameter.grad = gradient

    def state_dict(self) -> dict[str, Any]:
        """Return all that a search needs to go on, apart from its configuration."""
        return {
            "supernet": self.supernet.state_dict(),
            "policy": self.policy.state_dict(),
            "estimator": self.estimator.state_dict(),
            "policy_terms": {name: term.state_dict() for name, term in self.policy_terms.items()},
            "weight_optimiser": self.weight_optimiser.state_dict(),
            "policy_optimiser": self.policy_optimiser.state_dict(),
            "steps": self.steps,
            "policy_steps": self.policy_steps,
            "skips": self.skips.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        for name in ("supernet", "policy", "estimator"):
            getattr(self, name).load_state_dict(state[name])
        for name, term in self.policy_terms.items():
            term.load_state_dict(state["policy_terms"][name])
        load_into(self.weight_optimiser, state["weight_optimiser"])
        load_into(self.policy_optimiser, state["policy_optimiser"])
        self._weight_updates.keep()
        self.skips.load_state_dict(
            state.get("skips", {"total": 0, "in_a_row": 0})
        )  # an older unas had none
        self.steps, self.policy_steps = (whole(state[name]) for name in ("steps", "policy_steps"))


def _adam(parameters: list[nn.Parameter], config: AdamConfig) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=config.lr, weight_decay=config.weight_decay)
