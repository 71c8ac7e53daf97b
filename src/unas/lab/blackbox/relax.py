"""A policy trained by RELAX."""

from __future__ import annotations

from dataclasses import dataclass

from unas.estimators.relax import Relax
from unas.lab.blackbox._policy_search import policy_search
from unas.lab.blackbox.base import BlackBoxMethod
from unas.lab.queries import Queries


@dataclass(frozen=True)
class RelaxSearch(BlackBoxMethod):
    """One architecture a step, with a learned control variate (Grathwohl et al. 2018).

    Args:
        lr: of Adam, in the policy's logits.
        control_lr: of the control variate.
    """

    lr: float = 0.1
    control_lr: float = 0.01

    def search(self, queries: Queries, seed: int) -> None:
        """See `BlackBoxMethod`."""
        policy_search(queries, Relax(lr=self.control_lr), lr=self.lr, num_samples=1, seed=seed)
