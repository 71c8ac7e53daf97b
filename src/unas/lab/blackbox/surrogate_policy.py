"""A policy trained on a surrogate of the cost: the best of ours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unas.errors import UserError
from unas.estimators import Estimator
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.lab.blackbox._surrogate import GaussianProcess
from unas.lab.blackbox.base import BlackBoxMethod
from unas.lab.queries import Queries
from unas.policy import Policy, Sample


@dataclass(frozen=True)
class SurrogatePolicy(BlackBoxMethod):
    """A policy that follows the gradient of a surrogate, and asks for the most promising of its draws.

    After every answer the surrogate is fitted on all answers. With c(z) its mean and s(z) its standard deviation, the
    policy takes a few steps down ∇E[c(z) − κ·s(z)], estimated from hundreds of draws, which cost no query. The
    draw of least c − κ·s that wasn't asked for is asked for next.

    RELAX splits the gradient into ∇E[c] and ∇E[L − c], and needs queries for the second part only. Here the surrogate
    is fitted by regression instead of by variance, and the second part, whose terms are the surrogate's residuals at
    the answers, is left to the next fit.

    Args:
        start: random architectures asked for first.
        optimism: κ.
        steps: of the policy after each answer.
        num_samples: draws in a step.
        lr: of Adam, in the policy's logits.
        memory: what the logits are multiplied by after each answer, so that the policy can't decide for good.
    """

    start: int = 10
    optimism: float = 1.0
    steps: int = 5
    num_samples: int = 128
    lr: float = 0.3
    memory: float = 0.9

    def __post_init__(self) -> None:
        if self.start < 2:
            raise UserError(f"start is {self.start}; it must be 2 or more")
        if not 0 <= self.memory <= 1:
            raise UserError(f"memory is {self.memory}; it must be from 0 to 1")

    def search(self, queries: Queries, seed: int) -> None:
        """See `BlackBoxMethod`."""
        run = _Run(self, queries, seed)
        for position in torch.randperm(len(queries.table), generator=run.generator)[: self.start].tolist():
            queries(position)
        while True:
            queries(run.propose())


class _Run:
    """The policy and the surrogate of one search."""

    def __init__(self, options: SurrogatePolicy, queries: Queries, seed: int) -> None:
        self.options, self.queries, self.table = options, queries, queries.table
        self.generator = torch.Generator().manual_seed(seed)
        self.policy = Policy(self.table.choices, space="table")
        self.optimiser = torch.optim.Adam(self.policy.parameters(), lr=options.lr)
        self.surrogate = GaussianProcess()
        self.estimator: Estimator = ReinforceLeaveOneOut()
        self.drawn: list[tuple[float, tuple[int, ...]]] = []

    def propose(self) -> int:
        """Fit the surrogate, train the policy on it and return what to ask for."""
        answers = self.queries.answers
        costs = torch.tensor(list(answers.values()), dtype=torch.float64)
        known = self.table.features[list(answers)]
        self.surrogate.fit(known, standardised(costs), len(self.table.choices))
        self.drawn.clear()
        with torch.no_grad():
            for logits in self.policy.parameters():
                logits.mul_(self.options.memory)
        for _ in range(self.options.steps):
            self.optimiser.zero_grad()
            samples = self.options.num_samples
            loss = self.estimator(self.policy, self.acquisition, num_samples=samples, generator=self.generator)
            torch.autograd.backward(loss)
            self.optimiser.step()
        return self._best_unknown()

    def acquisition(self, sample: Sample) -> Tensor:
        """Return c − κ·s of each architecture, [G], and remember them as candidates."""
        features = torch.cat([group.flatten(1) for group in sample.groups], 1).double()
        mean, deviation = self.surrogate(features)
        found = mean - self.options.optimism * deviation
        self.drawn.extend(zip(found.tolist(), self.table.options(sample), strict=True))
        return found

    def _best_unknown(self) -> int:
        for _, options in sorted(set(self.drawn)):
            position = self.table.position(options)
            if position is not None and position not in self.queries.answers:
                return position
        unknown = torch.ones(len(self.table), dtype=torch.bool)
        unknown[list(self.queries.answers)] = False
        left = unknown.nonzero()[:, 0]
        return int(left[torch.randint(len(left), (), generator=self.generator)]) if len(left) else 0


def standardised(costs: Tensor) -> Tensor:
    """Return costs with mean 0 and deviation 1, after cutting off how far the worst lie beyond the median.

    A few failures, far worse than the rest, would otherwise take all the surrogate's attention.
    """
    median = costs.median()
    limit = median + 3 * (median - costs.quantile(0.05)).clamp_min(1e-12)
    kept = costs.minimum(limit)
    return (kept - kept.mean()) / kept.std().clamp_min(1e-12)
