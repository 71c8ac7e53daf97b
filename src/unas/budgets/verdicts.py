"""The verdict on a figure that is held against a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unas.budgets.budget import Budget
from unas.costs.reading import Reading


@dataclass(frozen=True)
class Verdict:
    """Whether a network meets a budget.

    Args:
        budget: the budget.
        reading: the network's figure.
        passed: the whole 95 % interval of the figure is within the budget.
    """

    budget: Budget
    reading: Reading
    passed: bool

    @property
    def is_undecided(self) -> bool:
        """Whether the interval holds the limit, so that a longer measurement may decide."""
        return self.reading.low <= self.budget.limit < self.reading.high

    def line(self) -> str:
        """Return the verdict for people, on one line.

        For example: "PASS latency<=8ms@onnxruntime: 7.31ms (95 %: 7.29ms to 7.35ms)".
        """
        show, reading = self.budget.show, self.reading
        line = f"{'PASS' if self.passed else 'FAIL'} {self.budget}: {show(reading.value)}"
        if reading.low < reading.high:
            line += f" (95 %: {show(reading.low)} to {show(reading.high)})"
        if self.is_undecided:
            line += "; the interval holds the limit: take more samples"
        if reading.note:
            line += f"; {reading.note}"
        return line

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as summary.json has it, figures in the quantity's base unit."""
        return {
            "budget": str(self.budget),
            "quantity": self.budget.quantity.name,
            "unit": self.budget.quantity.base_unit(),
            "limit": self.budget.limit,
            "value": self.reading.value,
            "low": self.reading.low,
            "high": self.reading.high,
            "passed": self.passed,
            "note": self.reading.note,
            "line": self.line(),
        }


def judge(budget: Budget, reading: Reading) -> Verdict:
    """Return the verdict on a figure: it passes if its whole interval is within the budget."""
    return Verdict(budget, reading, passed=reading.high <= budget.limit)


def as_summary(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Return what verdicts add to summary.json; nothing without any."""
    if not verdicts:
        return {}
    return {"budgets": [verdict.as_json() for verdict in verdicts]}
