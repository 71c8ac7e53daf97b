"""The budget of a black-box search: what may be asked of a table, and what was."""

from __future__ import annotations

from collections.abc import Callable

from unas.lab.table import ArchitectureTable

MAX_REPEATS = 1000


class BudgetSpentError(Exception):
    """A method asked for more than its budget; whoever started it stops it here."""


class Queries:
    """Answers what an architecture costs, and counts.

    To ask for the same one again is free, for every method alike.

    Args:
        table: the architectures.
        cost: of the architecture at a position of the table; smaller is better. It may end the
            search with `BudgetSpentError` too.
        budget: how many different architectures may be asked for.
    """

    def __init__(self, table: ArchitectureTable, cost: Callable[[int], float], budget: int) -> None:
        self.table = table
        self.budget = min(budget, len(table))
        # By position in the table, in the order of the questions.
        self.answers: dict[int, float] = {}
        self._cost = cost
        self._repeats = 0

    def __call__(self, position: int) -> float:
        """Return the cost of the architecture at this position of the table.

        Raises:
            BudgetSpentError: the budget is spent, or the last 1000 questions brought nothing new.
        """
        if len(self.answers) >= self.budget or self._repeats >= MAX_REPEATS:
            raise BudgetSpentError
        if position in self.answers:
            self._repeats += 1
        else:
            self._repeats = 0
            self.answers[position] = float(self._cost(position))
        return self.answers[position]
