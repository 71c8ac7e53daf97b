"""REBAR, the estimator of UNAS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from unas.architecture.policy import Layout, Policy
from unas.common.errors import UserError
from unas.compute.shapes import PerArchitecture
from unas.estimators._gumbel import (
    Groups,
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
from unas.estimators._learned_eta import EtaHistory
from unas.estimators._per_sample import as_loss, copies, in_logits
from unas.estimators.base import Cost, LearningEstimator, Nothing


@dataclass(frozen=True)
class Rebar(LearningEstimator):
    """sg[L(z) − η·L(ζ)]·∇log p(z) + η·(∇L(ζ) − ∇L(ζ̃)): the relaxed cost is a control variate.

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

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        if not 0 <= self.eta_decay < 1:
            raise UserError(f"eta_decay is {self.eta_decay}; it must be in [0, 1)")

    @property
    def fewest_samples(self) -> int:
        """See `Estimator`: `leave_one_out` needs others."""
        return 2 if self.leave_one_out else 1

    def fitted_to(self, num_samples: int) -> Rebar:
        """See `Estimator`: without others there is no baseline of theirs."""
        is_alone = num_samples < self.fewest_samples
        return replace(self, leave_one_out=False) if is_alone else self

    def init(self, layout: Layout) -> EtaHistory | Nothing:
        """See `Estimator`."""
        return EtaHistory.empty(layout) if self.learn_eta else Nothing()

    def step(
        self,
        policy: Policy,
        cost: Cost,
        state: EtaHistory | Nothing,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, EtaHistory | Nothing]:
        """See `Estimator`.

        Raises:
            UserError: `leave_one_out` with one architecture.
        """
        if self.leave_one_out and num_samples < 2:
            raise UserError(
                f"leave_one_out: num_samples is {num_samples}; "
                "it needs 2 or more architectures a batch"
            )
        log_p = policy.log_probabilities()
        if self.learn_eta:  # from what each architecture contributes
            log_p = copies(log_p, num_samples)
        noisy = perturbed(log_p, gumbel_noise(policy, num_samples, generator))
        picked = one_hot_argmax(noisy)
        hard = make_sample(policy, picked, is_hard=True)
        with torch.no_grad():
            hard_cost = cost(hard).to("cpu")
        control, pathwise = self._controls(policy, cost, log_p, noisy, generator)
        if isinstance(state, EtaHistory):
            paths = torch.autograd.grad(pathwise.sum(), log_p, retain_graph=True)
            return self._with_learned_eta(policy, (hard_cost, control), picked, paths, state)
        residual = self._minus_others(hard_cost - self.eta * control).detach()
        return (residual * policy.log_prob(hard) + self.eta * pathwise).mean(), state

    def _controls(
        self,
        policy: Policy,
        cost: Cost,
        log_p: Groups,
        noisy: Groups,
        generator: torch.Generator | None,
    ) -> tuple[PerArchitecture, PerArchitecture]:
        """Return L(ζ̃) of each architecture, [G], and a tensor with the gradient of L(ζ) − L(ζ̃)."""
        picked = one_hot_argmax(noisy)
        relaxed = relax(noisy, self.temperature)
        if self.is_coupled:
            noise = coupled_noise(log_p, picked, noisy)
            conditioned = relax(conditional(log_p, picked, noise), self.temperature)
            corrected = minus_path_of(relaxed, conditioned)
            control = cost(make_sample(policy, corrected, is_hard=False)).to("cpu")
            return control, control
        noise = gumbel_noise(policy, len(picked[0]), generator)
        conditioned = relax(conditional(log_p, picked, noise), self.temperature)
        control = cost(make_sample(policy, relaxed, is_hard=False)).to("cpu")
        conditioned_control = cost(make_sample(policy, conditioned, is_hard=False)).to("cpu")
        return conditioned_control, control - conditioned_control

    def _with_learned_eta(
        self,
        policy: Policy,
        costs: tuple[PerArchitecture, PerArchitecture],
        picked: Groups,
        paths: Groups,
        history: EtaHistory,
    ) -> tuple[Tensor, EtaHistory]:
        """Return the loss for the present η of each choice, and the history with this estimate.

        Args:
            policy: the distribution.
            costs: those of z and of ζ̃, [G].
            picked: z, [G, n, K].
            paths: the gradient of L(ζ) − L(ζ̃) in each architecture's log p, [G, n, K].
            history: of the estimates so far.
        """
        hard_cost, control = (self._minus_others(c.detach().double())[:, None, None] for c in costs)
        log_p, eta = policy.log_probabilities(), history.eta(self.eta)
        without = tuple(hard_cost * z for z in picked)
        added = tuple(path - control * z for z, path in zip(picked, paths, strict=True))
        mixed = tuple(a + e[:, None] * b for a, e, b in zip(without, eta, added, strict=True))
        learned = history.after(
            in_logits(policy, without), in_logits(policy, added), self.eta_decay
        )
        return as_loss(log_p, mixed), learned

    def _minus_others(self, costs: PerArchitecture) -> PerArchitecture:
        """Return costs [G], each less the mean of the others if `leave_one_out` says so."""
        if not self.leave_one_out:
            return costs
        # c − mean of the others = (c − mean of all)·G/(G − 1)
        return (costs - costs.mean()) * (len(costs) / (len(costs) - 1))
