"""RELAX: REINFORCE with a learned control variate, for costs that have no gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from unas.architecture.policy import Layout, Policy
from unas.common.errors import UserError
from unas.estimators._control_variate import QuadraticControlVariate
from unas.estimators._gumbel import (
    check_temperature,
    conditional,
    coupled_noise,
    gumbel_noise,
    make_sample,
    minus_path_of,
    one_hot_argmax,
    perturbed,
    relax,
)
from unas.estimators._per_sample import as_loss, copies, in_logits
from unas.estimators.base import Cost, LearningEstimator


@dataclass(frozen=True)
class Relax(LearningEstimator):
    """[cost(z) − c_ψ(ζ̃)]·∇log p(z) + ∇c_ψ(ζ) − ∇c_ψ(ζ̃), Grathwohl et al. 2018, equation 8.

    ζ̃ is drawn given z from the noise of ζ, so it equals ζ (UNAS). The cost is asked for hard
    architectures only. ψ is updated after the estimate is made, so what it is made with depends on
    earlier calls only and adds no bias.

    Args:
        temperature: τ of the relaxed samples.
        lr: learning rate of the control variate.
        decay: how much of their history the mean and deviation of the costs keep at each call.
    """

    is_unbiased: ClassVar[bool] = True
    needs_cost_gradient: ClassVar[bool] = False

    temperature: float = 0.4
    lr: float = 0.01
    decay: float = 0.9

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        if not self.lr > 0:
            raise UserError(f"lr is {self.lr}; it must be more than 0")
        if not 0 <= self.decay < 1:
            raise UserError(f"decay is {self.decay}; it must be in [0, 1)")

    def init(self, layout: Layout) -> QuadraticControlVariate:
        """See `Estimator`."""
        return QuadraticControlVariate.zero(layout)

    def step(
        self,
        policy: Policy,
        cost: Cost,
        state: QuadraticControlVariate,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, QuadraticControlVariate]:
        """See `Estimator`."""
        log_p = policy.log_probabilities()
        own_log_p = copies(log_p, num_samples)
        noisy = perturbed(own_log_p, gumbel_noise(policy, num_samples, generator))
        picked = one_hot_argmax(noisy)
        with torch.no_grad():
            costs = cost(make_sample(policy, picked, is_hard=True)).to("cpu", torch.float64)
        conditioned = conditional(own_log_p, picked, coupled_noise(own_log_p, picked, noisy))
        relaxed = relax(noisy, self.temperature)
        corrected = minus_path_of(relaxed, relax(conditioned, self.temperature))
        control = state(corrected)
        paths = torch.autograd.grad(control.sum(), own_log_p, create_graph=True)
        residual = (costs - control)[:, None, None]
        estimates = tuple(residual * z + path for z, path in zip(picked, paths, strict=True))
        learned = state.after(in_logits(policy, estimates), costs, lr=self.lr, decay=self.decay)
        return as_loss(log_p, estimates), learned
