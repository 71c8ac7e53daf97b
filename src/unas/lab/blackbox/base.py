"""What every black-box search is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from unas.lab.queries import Queries


@dataclass(frozen=True)
class BlackBoxMethod(ABC):
    """A search for the architecture of least cost that learns by asking for costs alone."""

    @abstractmethod
    def search(self, queries: Queries, seed: int) -> None:
        """Ask until `queries` ends the search with `BudgetSpentError`.

        Args:
            queries: answers with costs; it also has the table, of which only the architectures may
                be looked at.
            seed: of all that is random.
        """
