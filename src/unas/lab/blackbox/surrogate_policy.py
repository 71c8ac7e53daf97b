"""A policy trained on a surrogate of the cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unas.architecture.policy import Policy, Sample
from unas.common.errors import UserError
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.lab.blackbox._surrogate import GaussianProcess
from unas.lab.blackbox.base import BlackBoxMethod
from unas.lab.queries import Queries


@dataclass(frozen=True)
class SurrogatePolicy(BlackBoxMethod):
    """A policy that follows a surrogate's gradient, and asks for its most promising draws.

    After every answer the surrogate is fitted on all answers. With c(z) its mean and s(z) its
    standard deviation, the policy takes a few steps down ∇E[c(z) − κ·s(z)], estimated from hundreds
    of draws, which cost no query. What has the least c − κ·s among the draws and their neighbours,
    and wasn't asked for, is asked for next.

    RELAX splits the gradient into ∇E[c] and ∇E[L − c], and needs queries for the second part only.
    Here the surrogate is fitted by regression instead of by variance, and the second part, whose
    terms are the surrogate's residuals at the answers, is left to the next fit.

    Args:
        start: random architectures asked for first.
        optimism: κ.
        steps: of the policy after each answer.
        num_samples: draws in a step.
        lr: of Adam, in the policy's logits.
        memory: what the logits are multiplied by after each answer, so that the policy can't decide
            for good.
        polished: the neighbours of this many of the best draws are scored too, until that finds no
            better ones.
    """

    start: int = 10
    optimism: float = 2.0
    steps: int = 5
    num_samples: int = 128
    lr: float = 0.3
    memory: float = 0.5
    polished: int = 4

    def __post_init__(self) -> None:
        if self.start < 2:
            raise UserError(f"start is {self.start}; it must be 2 or more")
        if not 0 <= self.memory <= 1:
            raise UserError(f"memory is {self.memory}; it must be from 0 to 1")

    def search(self, queries: Queries, seed: int) -> None:
        """See `BlackBoxMethod`."""
        run = _Run(self, queries, seed)
        for position in torch.randperm(len(queries.table), generator=run.generator)[
            : self.start
        ].tolist():
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
        self.estimator = ReinforceLeaveOneOut()
        self.scores: dict[
            tuple[int, ...], float
        ] = {}  # c − κ·s by options, of all drawn since the last answer

    def propose(self) -> int:
        """Fit the surrogate, train the policy on it and return what to ask for."""
        answers = self.queries.answers
        costs = torch.tensor(list(answers.values()), dtype=torch.float64)
        known = self.table.features[list(answers)]
        self.surrogate.fit(known, standardised(costs), len(self.table.choices))
        self.scores.clear()
        with torch.no_grad():
            for logits in self.policy.parameters():
                logits.mul_(self.options.memory)
        for _ in range(self.options.steps):
            self.optimiser.zero_grad()
            samples = self.options.num_samples
            loss = self.estimator(
                self.policy, self.acquisition, num_samples=samples, generator=self.generator
            )
            torch.autograd.backward(loss)
            self.optimiser.step()
        self._polish()
        return self._best_unknown()

    def acquisition(self, sample: Sample) -> Tensor:
        """Return c − κ·s of each architecture, [G], and remember them as candidates."""
        features = torch.cat([group.flatten(1) for group in sample.groups], 1).double()
        return self._score(self.table.options(sample), features)

    def _score(self, options: Sequence[tuple[int, ...]], features: Tensor) -> Tensor:
        mean, deviation = self.surrogate(features)
        found = mean - self.options.optimism * deviation
        self.scores.update(zip(options, found.tolist(), strict=True))
        return found

    def _polish(self) -> None:
        """Score neighbours of the best draws, then of the best of those, while that helps."""
        tried: set[tuple[int, ...]] = set()
        while centres := [o for o in self._unknown()[: self.options.polished] if o not in tried]:
            tried.update(centres)
            fresh = {
                n for centre in centres for n in self._neighbours(centre) if n not in self.scores
            }
            if fresh:
                ordered = sorted(fresh)
                self._score(ordered, self.table.one_hot(np.array(ordered)))

    def _neighbours(self, options: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        for i, names in enumerate(self.table.choices.values()):
            for k in range(len(names)):
                yield (*options[:i], k, *options[i + 1 :])

    def _unknown(self) -> list[tuple[int, ...]]:
        """Return the scored architectures that were not asked for, the most promising first."""
        answers = self.queries.answers
        left = (
            o for o in self.scores if (p := self.table.position(o)) is not None and p not in answers
        )
        return sorted(left, key=lambda options: (self.scores[options], options))

    def _best_unknown(self) -> int:
        for options in self._unknown()[:1]:
            return self.table.nearest(options)
        # The policy drew nothing new: anything not asked for will do, or, where all was, what ends
        # the search.
        left = [
            position for position in range(len(self.table)) if position not in self.queries.answers
        ]
        return left[int(torch.randint(len(left), (), generator=self.generator))] if left else 0


def standardised(costs: Tensor) -> Tensor:
    """Return costs with mean 0 and deviation 1; how far the worst lie off is cut first.

    A few failures, far worse than the rest, would otherwise take all the surrogate's attention.
    """
    median = costs.median()
    limit = median + 3 * (median - costs.quantile(0.05)).clamp_min(1e-12)
    kept = costs.minimum(limit)
    return (kept - kept.mean()) / kept.std(correction=0).clamp_min(1e-12)
