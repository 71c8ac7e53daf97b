"""One step of the search: the policy, then the supernet's weights (UNAS, algorithm 1)."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from unas.architecture.policy import Policy
from unas.compute.adam import adam, laid_out_like
from unas.compute.finite import (
    SkippedUpdates,
    WeightUpdates,
    carried_by_gradient,
    step_if_all_finite,
)
from unas.compute.ranks import Ranks
from unas.compute.runtime import Runtime
from unas.compute.seeds import generator_for
from unas.compute.shapes import Images, Labels, PerImage, Scalar
from unas.compute.weights import load_weights
from unas.estimators import Estimator, draw_hard, draw_relaxed
from unas.nn.recomputation import recompute_parts
from unas.objectives import RunningTerm
from unas.runs.checkpoints import load_into, whole
from unas.searching.averaging import averaged
from unas.searching.balanced import draw_balanced
from unas.searching.config import AdamConfig, SampleKind, SearchConfig
from unas.searching.cost import Batches, SupernetCost, image_terms
from unas.searching.gradient import learners, policy_gradients
from unas.searching.layout import settle_layout
from unas.searching.losses import Losses
from unas.searching.sharing import own_part
from unas.spaces import SearchSpace
from unas.spaces.module import ModuleSupernet

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
        total_steps: steps of the search over which learning rates fall, in which the weights learn;
            None keeps them constant.
        policy_terms: the started terms of the configuration that have nothing to do with images, by
            name.

    Attributes:
        average: a copy of the supernet that holds the average of its weights; None without one.
        steps_since_warm_up: how many steps were done after warm-up.
        policy_norm: the norm of the policy's gradient in the last step; None where it had none.
        weight_norm: the norm of the weights' gradient in the last step, before it was clipped; None
            where they rested.

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
        self.space = space
        self.config = config
        self.runtime = runtime
        self.seed = seed
        self.total_steps = total_steps
        self.policy_terms = policy_terms
        self.image_terms = image_terms(space, config, policy_terms)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.supernet = space.supernet(num_classes, image_channels).to(runtime.device)
        if runtime.recomputes:
            recompute_parts(self.supernet)
        self.weights = [weight for weight in self.supernet.parameters() if weight.requires_grad]
        self.losses = Losses(self.supernet, runtime)
        self.average = averaged(self.supernet, config.average) if config.average else None
        self.policy = Policy(space.choices, config.softening, space.registry_name)
        self.estimator = config.estimator.start(self.policy.layout)
        self.weight_optimiser = adam(self.weights, config.weights.lr, config.weights.weight_decay)
        self.policy_optimiser = adam(
            self.policy.parameters(), config.policy.lr, config.policy.weight_decay
        )
        self._weight_updates = WeightUpdates(self.supernet, self.weight_optimiser, config.clip_norm)
        self.skipped = SkippedUpdates(config.max_skipped)
        self.steps = 0
        self.steps_since_warm_up = 0
        self.policy_norm: float | None = None
        self.weight_norm: float | None = None
        self._most_pixels = 0

    def __call__(self, x: Images, y: Labels, x_val: Images, y_val: Labels) -> dict[str, float]:
        """Update the policy on both batches, then the weights on the training batch.

        Args:
            x: normalised training images [B, C, H, W]; of several processes, the part of this one.
            y: their labels [B].
            x_val: validation images, as many.
            y_val: their labels.

        Returns:
            the terms of the cost and the training loss, by name.
        """
        self._settle_layout(x, y)
        if self.config.schedule == "restarted" and self.steps_since_warm_up == 0:
            self.weight_optimiser.state.clear()  # that of the policy has done nothing yet
        with self.losses.noise(self.seed, self.steps):
            cost = self.cost(Batches(x, y, x_val, y_val), self.config.estimator)
            is_policy_updated = self._update_policy(cost)
            loss, are_weights_updated = self._update_weights(self.weight_loss(cost, self.steps))
        self.steps += 1
        self.steps_since_warm_up += 1
        self.skipped.note(is_updated=is_policy_updated and are_weights_updated)
        return {"train_loss": loss, **self._figures(cost)}

    def _figures(self, cost: SupernetCost) -> dict[str, float]:
        """Return what the log says of the policy's update."""
        figures = self.ranks.mean_figures(cost.figures())
        figures["entropy"] = float(self.policy.entropy().detach())
        for name, term in self.policy_terms.items():
            for figure, value in term.figures(self.policy).items():
                # Of two terms on one quantity, the second says which it is.
                figures[f"{figure}_{name}" if figure in figures else figure] = value
        return figures | self.skipped.figures()

    def warm_up(self, x: Images, y: Labels) -> dict[str, float]:
        """Update the weights alone, under architectures that the policy draws."""
        loss, is_updated = self._update_weights_alone(x, y)
        self.skipped.note(is_updated=is_updated)
        return {"train_loss": loss, **self.skipped.figures()}

    def between(self, x: Images, y: Labels) -> dict[str, float]:
        """Update the weights alone, in a step after warm-up in which the policy doesn't learn."""
        loss, is_updated = self._update_weights_alone(x, y)
        self.steps_since_warm_up += 1
        # A good one says nothing about the policy, whose updates may all have been left out.
        if not is_updated:
            self.skipped.note(is_updated=False)
        return {"train_loss": loss, **self.skipped.figures()}

    def settle(self, x: Images, y: Labels, x_val: Images, y_val: Labels) -> dict[str, float]:
        """Update the policy alone, on both batches as `__call__` does; the weights rest."""
        self._settle_layout(x, y)
        self.weight_norm = None
        with self.losses.noise(self.seed, self.steps):
            cost = self.cost(Batches(x, y, x_val, y_val), self.config.estimator, keep=False)
            is_updated = self._update_policy(cost)
        self.steps += 1
        self.steps_since_warm_up += 1
        self.skipped.note(is_updated=is_updated)
        return self._figures(cost)

    def _update_weights_alone(self, x: Images, y: Labels) -> tuple[float, bool]:
        self._settle_layout(x, y)
        self.policy_norm = None
        with self.losses.noise(self.seed, self.steps):
            losses = self._drawn_losses(x, y, self.steps)
            updated = self._update_weights(losses.mean())
        self.steps += 1
        return updated

    def _update_policy(self, cost: SupernetCost) -> bool:
        """Return whether the policy was updated; if not, nothing has learned from the step."""
        learning = learners(self.estimator, self.policy_terms)
        known = [learner.state for learner in learning]
        gradients = policy_gradients(
            self.policy,
            cost,
            self.estimator,
            self.policy_terms,
            ranks=self.ranks,
            seed=self.seed,
            step=self.steps,
        )
        self.policy_norm = float(nn.utils.get_total_norm(gradients))
        self._set(self.policy_optimiser, self.config.policy, gradients)
        is_updated = step_if_all_finite(self.policy_optimiser)
        self.policy_optimiser.zero_grad()
        if not is_updated:
            for learner, state in zip(learning, known, strict=True):
                learner.state = state
        return is_updated

    def _update_weights(self, loss: Scalar) -> tuple[float, bool]:
        """Return the loss, the mean of all processes, and whether the weights were updated."""
        # An operation that no image went through has gradient zero, so every step updates every
        # weight.
        own = torch.autograd.grad(carried_by_gradient(loss), self.weights, materialize_grads=True)
        *gradients, loss = self.ranks.mean([*own, loss.detach()])
        self._set(self.weight_optimiser, self.config.weights, gradients)
        mean_loss, is_updated = self._weight_updates(loss)
        self.weight_norm = self._weight_updates.norm
        if self.average is not None and is_updated:
            self.average.update_parameters(self.supernet)
        return mean_loss, is_updated

    def _set(
        self, optimiser: torch.optim.Adam, config: AdamConfig, gradients: Sequence[Tensor]
    ) -> None:
        """Set the learning rate of this step and the gradients."""
        group = optimiser.param_groups[0]
        group["lr"] = config.lr_at(self._elapsed)
        for parameter, gradient in zip(group["params"], gradients, strict=True):
            parameter.grad = laid_out_like(gradient, parameter)

    @property
    def _elapsed(self) -> float:
        """How much of the learning rates' cosine is over; a settling policy has one of its own."""
        if self.total_steps is None:
            return 0.0
        settled = self.steps - self.total_steps
        if settled >= 0 and self.config.settling_steps:
            return settled / self.config.settling_steps
        return self.config.elapsed(self.steps, self.steps_since_warm_up, self.total_steps)

    def cost(self, batches: Batches, estimator: Estimator, *, keep: bool = True) -> SupernetCost:
        """Return the cost of architectures on these batches; it may keep what the weights need."""
        return SupernetCost(
            self.losses,
            self.space,
            self.image_terms,
            batches,
            step=self.steps_since_warm_up,
            architectures=self._own_architectures(len(batches.x)),
            kept=self.config.weights_on if keep and estimator.draws_from_policy else None,
            on_validation=self.config.policy_on == "validation",
        )

    def weight_loss(self, cost: SupernetCost, step: int) -> Scalar:
        """Return the mean training loss that the weights follow, [].

        Args:
            cost: the cost of architectures in this step; the losses that it has kept are used.
            step: the number of the search step; architectures are drawn by it if none were kept.
        """
        losses = cost.train_losses
        if losses is None:
            losses = self._drawn_losses(cost.batches.x, cost.batches.y, step)
        return losses.mean()

    def _settle_layout(self, x: Images, y: Labels) -> None:
        """Let a user's model on a CPU try both layouts of images that are larger than before."""
        pixels = x.shape[-2] * x.shape[-1]
        if pixels <= self._most_pixels:
            return
        self._most_pixels = pixels
        if self.runtime.device.type == "cpu" and isinstance(self.supernet, ModuleSupernet):
            with self.losses.noise(self.seed, self.steps):
                settle_layout(self.supernet, partial(self._try_once, x, y), self.ranks)
            self._share_layout()

    def _share_layout(self) -> None:
        """Let the averaged supernet have its images as the supernet has them."""
        average = self.average and self.average.module
        if isinstance(average, ModuleSupernet) and isinstance(self.supernet, ModuleSupernet):
            average.set_layout(self.supernet.layout)

    def _try_once(self, x: Images, y: Labels) -> None:
        """Run a forward and a backward pass of the kind that a step mostly consists of."""
        is_relaxed = self.config.estimator.needs_cost_gradient
        kind: SampleKind = "relaxed" if is_relaxed else self.config.weights_on
        loss = self._drawn_losses(x, y, 0, kind).mean()
        torch.autograd.grad(loss, self.weights, allow_unused=True)

    def _drawn_losses(
        self, x: Images, y: Labels, step: int, kind: SampleKind | None = None
    ) -> PerImage:
        """Return the cross-entropy of each image, [B], in a sample drawn for the weights alone."""
        noise = generator_for(self.seed, "search/weights", step)
        num_samples = self._own_architectures(len(x)) * self.ranks.size
        if (kind or self.config.weights_on) == "hard":
            draw = draw_balanced if self.config.balanced else draw_hard
            sample = draw(self.policy, num_samples, noise)
        else:
            temperature = self.config.relaxed_temperature
            sample = draw_relaxed(self.policy, num_samples, temperature, noise).detach()
        return self.losses(x, y, own_part(sample, self.ranks, num_samples))

    def _own_architectures(self, images: int) -> int:
        """Return G/N, how many architectures the images of this one of N processes have."""
        total = self.config.num_architectures(images * self.ranks.size)
        return self.ranks.share(total, "search.architectures_per_batch")

    @property
    def judging(self) -> Losses:
        """The losses in which architectures are compared: those of the averaged weights, if any."""
        if self.average is None:
            return self.losses
        return Losses(self.average.module, self.runtime)

    @property
    def ranks(self) -> Ranks:
        """The processes that search together."""
        return self.runtime.ranks

    def named_tensors(self) -> dict[str, Tensor]:
        """Return what is the same on every process after a step: the logits and the weights."""
        tensors: dict[str, Tensor] = {}
        for part, module in (("policy", self.policy), ("supernet", self.supernet)):
            for name, parameter in module.named_parameters():
                tensors[f"{part} {name}"] = parameter
        return tensors

    def state_dict(self) -> dict[str, Any]:
        """Return all that a search needs to go on, apart from its configuration."""
        layout = self.supernet.layout if isinstance(self.supernet, ModuleSupernet) else None
        return {
            "supernet": self.supernet.state_dict(),
            "layout": layout,
            "most_pixels": self._most_pixels,
            "recomputes": self.runtime.recomputes,
            "average": self.average and self.average.state_dict(),
            "policy": self.policy.state_dict(),
            "estimator": self.estimator.state_dict(),
            "policy_terms": {name: term.state_dict() for name, term in self.policy_terms.items()},
            "weight_optimiser": self.weight_optimiser.state_dict(),
            "policy_optimiser": self.policy_optimiser.state_dict(),
            "steps": self.steps,
            "policy_steps": self.steps_since_warm_up,
            "skips": self.skipped.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        load_weights(self.supernet, state["supernet"])
        if isinstance(self.supernet, ModuleSupernet):
            # Searches of before there was a trial took the images as they came.
            self.supernet.set_layout(state.get("layout"))
        # Of a search of before there were smaller images, all are of one size.
        self._most_pixels = whole(state.get("most_pixels", sys.maxsize))
        if self.average is not None:
            load_weights(self.average, state["average"])
            self._share_layout()
        self.policy.load_state_dict(state["policy"])
        self.estimator.load_state_dict(state["estimator"])
        for name, term in self.policy_terms.items():
            term.load_state_dict(state["policy_terms"][name])
        load_into(self.weight_optimiser, state["weight_optimiser"])
        load_into(self.policy_optimiser, state["policy_optimiser"])
        self._weight_updates.keep()
        if "skips" in state:  # they were not counted from the first
            self.skipped.load_state_dict(state["skips"])
        self.steps = whole(state["steps"])
        self.steps_since_warm_up = whole(state["policy_steps"])
