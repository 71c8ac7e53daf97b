"""Bias and variance of gradient estimates, measured on problems whose gradient is known."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unas.estimators.base import Estimator
from unas.estimators.exact import Exact
from unas.lab.problems import Problem
from unas.policy import Policy


@dataclass(frozen=True)
class GradientErrors:
    """How the estimates of one estimator on one problem lie about the exact gradient.

    Args:
        estimates: [R, D] float64, one row a call of the estimator, one column a logit.
        exact: [D].
        num_samples: G, the architectures of one call.
    """

    estimates: Tensor
    exact: Tensor
    num_samples: int

    @property
    def bias(self) -> Tensor:
        """The mean error of each logit, [D]."""
        return self.estimates.mean(0) - self.exact

    @property
    def bias_in_standard_errors(self) -> Tensor:
        """The mean error of each logit over the standard error of that mean, [D]."""
        standard_error = self.estimates.std(0) / len(self.estimates) ** 0.5
        # An estimate without noise is still rounded, to the policy's float32.
        rounding = 1e-6 * self.exact.abs().max()
        return torch.div(self.bias, standard_error.hypot(rounding))

    @property
    def variance(self) -> float:
        """The trace of the covariance of one call's estimate, times G: what one architecture contributes."""
        return float(self.estimates.var(0).sum()) * self.num_samples


def measure(
    estimator: Estimator, problem: Problem, *, num_estimates: int, num_samples: int, seed: int
) -> GradientErrors:
    """Call `estimator` on `problem` R = `num_estimates` times with G = `num_samples` architectures each."""
    generator = torch.Generator().manual_seed(seed)
    policy = problem.policy()
    rows = [
        gradient(estimator, problem, policy, num_samples=num_samples, generator=generator) for _ in range(num_estimates)
    ]
    exact = gradient(Exact(), problem, problem.policy(torch.float64), num_samples=512)
    return GradientErrors(torch.stack(rows), exact, num_samples)


def gradient(
    estimator: Estimator,
    problem: Problem,
    policy: Policy,
    *,
    num_samples: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return one estimate for all logits in a row, [D] float64."""
    policy.zero_grad()
    torch.autograd.backward(estimator(policy, problem.cost, num_samples=num_samples, generator=generator))
    return torch.cat(
        [
            torch.zeros_like(logits, dtype=torch.float64) if logits.grad is None else logits.grad.double()
            for logits in policy.parameters()
        ]
    )
