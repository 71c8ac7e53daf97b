"""A configuration with a term of the search for each of its budgets."""

from __future__ import annotations

from dataclasses import replace

from unas.budgets.budget import parse_budgets
from unas.budgets.contract import is_about
from unas.budgets.steering import lowered, term_for
from unas.config.run_config import Config


def with_budget_terms(config: Config, command: str | None = None) -> Config:
    """Return the configuration with a term for each of its budgets, none of which aims above it.

    Args:
        config: a run.
        command: the command line of the backend `command`, where a budget names it.

    Raises:
        UserError: a budget needs a command, and there is none.
    """
    terms = dict(config.search.objectives)
    for budget in parse_budgets(config.budgets):
        about = {name: term for name, term in terms.items() if is_about(term, budget)}
        terms |= {name: lowered(term, budget.limit) for name, term in about.items()}
        if not about:
            name = (
                budget.quantity
                if budget.quantity not in terms
                else f"{budget.quantity}_{budget.backend}"
            )
            terms[name] = term_for(budget, command)
    if terms == dict(config.search.objectives):
        return config
    return replace(config, search=replace(config.search, objectives=terms))
