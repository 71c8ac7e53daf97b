"""A policy trained by REINFORCE."""

from __future__ import annotations

from dataclasses import dataclass

from unas.estimators.reinforce import Reinforce
from unas.lab.blackbox._policy_search import policy_search
from unas.lab.blackbox.base import BlackBoxMethod
from unas.lab.queries import Queries


@dataclass(frozen=True)
class ReinforceSearch(BlackBoxMethod):
    """One architecture a step, with the moving average of costs as its baseline.

    Williams 1992; Ying et al. 2019.

    Args:
        lr: of Adam, in the policy's logits.
    """

    lr: float = 0.1

    def search(self, queries: Queries, seed: int) -> None:
        """See `BlackBoxMethod`."""
        policy_search(queries, Reinforce(), lr=self.lr, num_samples=1, seed=seed)
