"""Bias, variance and time of gradient estimates, measured on problems whose gradient is known."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from unas.architecture.policy import Policy
from unas.estimators import Estimator, RunningEstimator
from unas.estimators.exact import Exact
from unas.lab.problems import Problem


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
        """The trace of the covariance of one call's estimate, times G.

        That is what one architecture contributes.
        """
        return float(self.estimates.var(0).sum()) * self.num_samples

    @property
    def variance_standard_error(self) -> float:
        """The standard error of `variance`, a mean over calls of squared distances."""
        distances = (self.estimates - self.estimates.mean(0)).square().sum(1)
        return float(distances.std(0)) * self.num_samples / math.sqrt(len(distances))


def measure(
    estimator: Estimator,
    problem: Problem,
    *,
    num_estimates: int,
    num_samples: int,
    seed: int,
    burn_in: int = 0,
) -> GradientErrors:
    """Call an estimator on a problem again and again, from what it knows at its first call on.

    Args:
        estimator: what is measured.
        problem: the policy, the cost and the exact gradient.
        num_estimates: R, how many calls are counted.
        num_samples: G, the architectures of each call.
        seed: of the noise.
        burn_in: how many calls go before those that are counted.
    """
    generator = torch.Generator().manual_seed(seed)
    policy = problem.policy()
    running = estimator.start(policy.layout)
    rows = []
    for _ in range(burn_in + num_estimates):
        row = gradient(running, problem, policy, num_samples=num_samples, generator=generator)
        rows.append(row)
    exact = gradient(Exact(), problem, problem.policy(torch.float64), num_samples=512)
    return GradientErrors(torch.stack(rows[burn_in:]), exact, num_samples)


def variance_ratio(errors: GradientErrors, reference: GradientErrors) -> tuple[float, float, float]:
    """Return one variance over another with its 95 % interval.

    The logarithm of the ratio is taken as normal.
    """
    ratio = errors.variance / reference.variance
    if errors is reference or not ratio:
        return ratio, ratio, ratio
    relative_error = errors.variance_standard_error / errors.variance
    reference_error = reference.variance_standard_error / reference.variance
    spread = math.exp(1.959964 * math.hypot(relative_error, reference_error))
    return ratio, ratio / spread, ratio * spread


def median_microseconds(
    estimator: Estimator, problem: Problem, *, num_samples: int, calls: int
) -> float:
    """Return the median processor time of one estimate with its backward pass, in µs.

    Processor time rather than the clock's: it is the same beside other work.
    """
    policy = problem.policy()
    running = estimator.start(policy.layout)
    generator = torch.Generator().manual_seed(0)
    times = []
    for _ in range(calls):
        start = time.process_time()
        gradient(running, problem, policy, num_samples=num_samples, generator=generator)
        times.append(time.process_time() - start)
    return statistics.median(times) * 1e6


def gradient(
    estimator: Estimator | RunningEstimator,
    problem: Problem,
    policy: Policy,
    *,
    num_samples: int,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return one estimate for all logits in a row, [D] float64."""
    policy.zero_grad()
    loss = estimator(policy, problem.cost, num_samples=num_samples, generator=generator)
    torch.autograd.backward(loss)
    columns = []
    for logits in policy.parameters():
        column = torch.zeros_like(logits) if logits.grad is None else logits.grad
        columns.append(column.double())
    return torch.cat(columns)
