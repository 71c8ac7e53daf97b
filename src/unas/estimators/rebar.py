"""REBAR, the estimator of UNAS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from unas.architecture.policy import Policy
from unas.common.errors import UserError
from unas.estimators._gumbel import (
    Groups,
    check_temperature,
    conditional,
    coupled_noise,
    gumbel_noise,
    make_sample,
    one_hot_argmax,
    perturbed,
    relax,
)
from unas.estimators._learned_eta import LearnedEta
from unas.estimators._per_sample import as_loss, copies, in_logits
from unas.estimators.base import Cost, Estimator


@dataclass(frozen=True)
class Rebar(Estimator):
    """sg[L(z) − η·L(ζ)]·∇log p(z) + η·(∇L(ζ) − ∇L(ζ̃)): REINFORCE with the relaxed cost as control variate.

    Tucker et al. 2017, equation 7, for categorical choices; UNAS, equation 7. ζ̃ is a relaxed
    sample drawn given z.

    Args:
        temperature: τ of the relaxed samples.
        eta: η, the control variate's coefficient; UNAS has 1. Any η is unbiased.
        is_coupled: ζ̃ is made from the same noise as ζ, so it equals ζ and one evaluation of the
            cost serves both (UNAS); otherwise ζ̃ has noise of its own and the cost is evaluated
            once more (REBAR's derivation).
        leave_one_out: with G ≥ 2 architectures, each L(z) − η·L(ζ̃) has the mean of the others' as
            its baseline. The others are drawn independently, so it adds no bias. (A network whose
            normalisation mixes the images of several architectures couples their costs, as in
            `reinforce_loo`.)
        learn_eta: each choice has an η of its own, which starts at `eta` and minimises the variance
            of past calls.
        eta_decay: how much of its history that learning keeps at each call.
    """

    is_unbiased: ClassVar[bool] = True
    needs_cost_gradient: ClassVar[bool] = True

    temperature: float = 0.4
    eta: float = 1.0
    is_coupled: bool = True
    leave_one_out: bool = False
    learn_eta: bool = False
    eta_decay: float = 0.99
    _eta: LearnedEta = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        if not 0 <= self.eta_decay < 1:
            raise UserError(f"eta_decay is {self.eta_decay}; it must be in [0, 1)")
        object.__setattr__(self, "_eta", LearnedEta(self.eta, self.eta_decay))

    @property
    def fewest_samples(self) -> int:
        """See `Estimator`: `leave_one_out` needs others."""
        return 2 if self.leave_one_out else 1

    def __call__(
        self,
        policy: Policy,
        cost: Cost,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """See `Estimator`.

        Raises:
            UserError: `leave_one_out` with one architecture.
        """
        if self.leave_one_out and num_samples < 2:
            raise UserError(
                f"leave_one_out: num_samples is {num_samples}; it needs 2 or more architectures a batch"
            )
        log_p = policy.log_probabilities()
        own_log_p = copies(log_p, num_samples) if self.learn_eta else log_p
        noisy = perturbed(own_log_p, gumbel_noise(policy, num_samples, generator))
        picked = one_hot_argmax(noisy)
        hard = make_sample(policy, picked, is_hard=True)
        with torch.no_grad():
            hard_cost = cost(hard).to("cpu")
        control, pathwise = self._controls(policy, cost, own_log_p, noisy, generator)
        if self.learn_eta:
            path = torch.autograd.grad(pathwise.sum(), own_log_p, retain_graph=True)
            return self._with_learned_eta(policy, (hard_cost, control), picked, path)
        score = self._minus_others(hard_cost - self.eta * control).detach() * policy.log_prob(hard)
        return (score + self.eta * pathwise).mean()

    def _controls(
        self,
        policy: Policy,
        cost: Cost,
        log_p: Groups,
        noisy: Groups,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        """Return the cost of ζ̃, and a scalar with the gradient of L(ζ) − L(ζ̃), of each architecture, [G]."""
        picked = one_hot_argmax(noisy)
        relaxed = relax(noisy, self.temperature)
        if self.is_coupled:
            noise = coupled_noise(log_p, picked, noisy)
            corrected = self._minus_conditional(
                relaxed, relax(conditional(log_p, picked, noise), self.temperature)
            )
            control = cost(make_sample(policy, corrected, is_hard=False)).to("cpu")
            return control, control
        noise = gumbel_noise(policy, len(picked[0]), generator)
        given_z = relax(conditional(log_p, picked, noise), self.temperature)
        control = cost(make_sample(policy, relaxed, is_hard=False)).to("cpu")
        conditional_control = cost(make_sample(policy, given_z, is_hard=False)).to("cpu")
        return conditional_control, control - conditional_control

    def _with_learned_eta(
        self, policy: Policy, costs: tuple[Tensor, Tensor], picked: Groups, path: Groups
    ) -> Tensor:
        """Return the loss for the present η of each choice, and learn from its two parts.

        Args:
            policy: the distribution.
            costs: those of z and of ζ̃, [G].
            picked: z, [G, n, K].
            path: the gradient of L(ζ) − L(ζ̃) in each architecture's log p, [G, n, K].
        """
        hard_cost, control = (self._minus_others(c.detach().double())[:, None, None] for c in costs)
        without = tuple(hard_cost * z for z in picked)
        added = tuple(p - control * z for z, p in zip(picked, path, strict=True))
        log_p = policy.log_probabilities()
        eta = (group[:, None] for group in self._eta.values(log_p))
        loss = as_loss(log_p, tuple(a + e * b for a, e, b in zip(without, eta, added, strict=True)))
        self._eta.learn(in_logits(policy, without), in_logits(policy, added))
        return loss

    def _minus_others(self, costs: Tensor) -> Tensor:
        """Subtract from each of the costs [G] the mean of the others, if that is asked for."""
        num_samples = len(costs)
        return (
            (costs - costs.mean()) * (num_samples / (num_samples - 1))
            if self.leave_one_out
            else costs
        )

    @staticmethod
    def _minus_conditional(relaxed: Groups, given_z: Groups) -> Groups:
        """Return ζ in value, with the gradient path of ζ minus that of ζ̃."""
        return tuple(z - (c - c.detach()) for z, c in zip(relaxed, given_z, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """Return what the learned η remembers."""
        return self._eta.state_dict() if self.learn_eta else {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the learned η."""
        if self.learn_eta:
            self._eta.load_state_dict(state)
