"""REBAR, the estimator of UNAS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

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
from unas.estimators.base import Cost, Estimator
from unas.policy import Policy


@dataclass(frozen=True)
class Rebar(Estimator):
    """sg[L(z) − η·L(ζ)]·∇log p(z) + η·(∇L(ζ) − ∇L(ζ̃)): REINFORCE with the relaxed cost as control variate.

    Tucker et al. 2017, equation 7, for categorical choices; UNAS, equation 7. ζ̃ is a relaxed sample drawn given z.

    Args:
        temperature: τ of the relaxed samples.
        eta: η, the control variate's coefficient; UNAS has 1. Any η is unbiased.
        is_coupled: ζ̃ is made from the same noise as ζ, so it equals ζ and one evaluation of the cost serves both
            (UNAS); otherwise ζ̃ has noise of its own and the cost is evaluated once more (REBAR's derivation).
    """

    is_unbiased: ClassVar[bool] = True
    needs_cost_gradient: ClassVar[bool] = True

    temperature: float = 0.4
    eta: float = 1.0
    is_coupled: bool = True

    def __post_init__(self) -> None:
        check_temperature(self.temperature)

    def __call__(
        self, policy: Policy, cost: Cost, *, num_samples: int = 1, generator: torch.Generator | None = None
    ) -> Tensor:
        """See `Estimator`."""
        log_p = policy.log_probabilities()
        noisy = perturbed(log_p, gumbel_noise(policy, num_samples, generator))
        picked = one_hot_argmax(noisy)
        hard = make_sample(policy, picked, is_hard=True)
        with torch.no_grad():
            hard_cost = cost(hard).to("cpu")
        relaxed = relax(noisy, self.temperature)
        if self.is_coupled:
            noise = coupled_noise(log_p, picked, noisy)
            corrected = self._minus_conditional(relaxed, relax(conditional(log_p, picked, noise), self.temperature))
            control = cost(make_sample(policy, corrected, is_hard=False)).to("cpu")
            pathwise = control
        else:
            noise = gumbel_noise(policy, num_samples, generator)
            given_z = relax(conditional(log_p, picked, noise), self.temperature)
            control = cost(make_sample(policy, relaxed, is_hard=False)).to("cpu")
            conditional_control = cost(make_sample(policy, given_z, is_hard=False)).to("cpu")
            pathwise = control - conditional_control
            control = conditional_control
        score = (hard_cost - self.eta * control).detach() * policy.log_prob(hard)
        return (score + self.eta * pathwise).mean()

    @staticmethod
    def _minus_conditional(relaxed: Groups, given_z: Groups) -> Groups:
        """Return ζ in value, with the gradient path of ζ minus that of ζ̃."""
        return tuple(z - (c - c.detach()) for z, c in zip(relaxed, given_z, strict=True))
