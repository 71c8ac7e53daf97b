"""The term that steers a search toward a budget."""

from __future__ import annotations

from dataclasses import replace

from unas.budgets.budget import Budget, created
from unas.objectives import CostTerm, LimitTerm, Term
from unas.objectives.energy import EnergyTerm
from unas.objectives.latency import LatencyTerm
from unas.objectives.macs import MacsTerm
from unas.objectives.memory import MemoryTerm
from unas.objectives.params import ParamsTerm

WEIGHT = (
    10.0  # of a cost that is over its limit by all of the limit: 1 % too much counts as 0.1 nats
)
# Part of the limit that a measured cost is steered to, for the error of a prediction and a clock's
# noise
AIM = 0.95


def lowered(term: Term, limit: float) -> Term:
    """Return a term that aims above a limit with the aim that a budget's own term would have; any other as it is."""
    if not isinstance(term, CostTerm) or term.most <= limit:
        return term
    if isinstance(term, LatencyTerm):
        return replace(term, target_ms=AIM * limit)
    aim = AIM * limit if isinstance(term, EnergyTerm) else limit
    return replace(term, limit=aim) if isinstance(term, LimitTerm) else term


def term_for(budget: Budget, command: str | None = None) -> Term:
    """Return the term that steers toward a budget."""
    limit = budget.limit
    if budget.backend is not None:
        backend = created(budget.backend, command)
        return LatencyTerm(weight=WEIGHT / limit, target_ms=AIM * limit, backend=backend)
    if budget.quantity == "energy":
        return EnergyTerm(weight=WEIGHT, limit=AIM * limit)
    counted = {"macs": MacsTerm, "params": ParamsTerm, "memory": MemoryTerm}[budget.quantity]
    return counted(weight=WEIGHT, limit=limit)
