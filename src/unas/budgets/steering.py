"""The terms that steer a search toward its budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from unas.budgets.budget import Budget
from unas.latency import backends
from unas.objectives import CostTerm, Term


def steered(objectives: Mapping[str, Term], budgets: Sequence[Budget]) -> dict[str, Term]:
    """Return the terms of a search with one for each budget, none of which aims above it.

    A term that is about a budget already keeps its weight and its other options.
    """
    terms = dict(objectives)
    for budget in budgets:
        is_steered = False
        for name, term in terms.items():
            if steers_toward(term, budget):
                terms[name] = _lowered(term, budget)
                is_steered = True
        if not is_steered:
            terms[_free_name(budget, terms)] = budget.term()
    return terms


def steers_toward(term: Term, budget: Budget) -> TypeGuard[CostTerm]:
    """Return whether a term lowers what a budget limits."""
    if not isinstance(term, CostTerm):
        return False
    return term.is_about(budget.quantity.name, budget.backend, budget.batch)


def _lowered(term: CostTerm, budget: Budget) -> CostTerm:
    """Return a term that doesn't aim above a budget; one that aims lower stays as it is."""
    return term if term.most <= budget.limit else term.aimed_at(budget.aim)


def _free_name(budget: Budget, terms: Mapping[str, Term]) -> str:
    """Return the name that the log has for a budget's term, next to the others."""
    name = budget.quantity.name
    if name in terms and budget.backend is not None:
        backend = backends.registry.name_of(type(budget.backend))
        name = f"{name}_{backend.rpartition(':')[2].lower()}"
    while name in terms:
        name = f"{name}_budget"
    return name
