"""Budgets in a run: as terms of the search's cost, and as a contract."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from torch import nn

from unas.budgets import Budget, Verdict, parse_budgets
from unas.config import Config
from unas.contract import Contract, clause_of, is_about
from unas.data import ImageData
from unas.delivery import judge_delivery
from unas.deployment import Deployment
from unas.genotype_files import load_genotype
from unas.latency import backends
from unas.objectives import PolicyTerm, RunningTerm, Setting, Term
from unas.objectives._resource import CostTerm, Resource
from unas.objectives.energy import Energy
from unas.objectives.latency import Latency
from unas.objectives.macs import Macs
from unas.objectives.memory import Memory
from unas.objectives.params import Params
from unas.runtime import Runtime

WEIGHT = 10.0  # of a cost that is over its limit by all of the limit: 1 % too much counts as 0.1 nats
AIM = 0.95  # part of the limit that a measured cost is steered to, for the error of a prediction and a clock's noise


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
            name = budget.quantity if budget.quantity not in terms else f"{budget.quantity}_{budget.backend}"
            terms[name] = term_for(budget, command)
    if terms == dict(config.search.objectives):
        return config
    return replace(config, search=replace(config.search, objectives=terms))


def lowered(term: Term, limit: float) -> Term:
    """Return a term that aims above a limit with the aim that a budget's own term would have; any other as it is."""
    if not isinstance(term, CostTerm) or term.most <= limit:
        return term
    if isinstance(term, Latency):
        return replace(term, target_ms=AIM * limit)
    aim = AIM * limit if isinstance(term, Energy) else limit
    return replace(term, limit=aim) if isinstance(term, Resource) else term


def term_for(budget: Budget, command: str | None = None) -> Term:
    """Return the term that steers toward a budget."""
    limit = budget.limit
    if budget.backend is not None:
        backend = backends.create(budget.backend, command)
        return Latency(weight=WEIGHT / limit, target_ms=AIM * limit, backend=backend)
    if budget.quantity == "energy":
        return Energy(weight=WEIGHT, limit=AIM * limit)
    counted = {"macs": Macs, "params": Params, "memory": Memory}[budget.quantity]
    return counted(weight=WEIGHT, limit=limit)


def start_terms(objectives: Mapping[str, Term], setting: Setting) -> dict[str, RunningTerm]:
    """Return the terms that are about the deployed network, started, by name."""
    return {name: term.start(setting) for name, term in objectives.items() if isinstance(term, PolicyTerm)}


class Promised:
    """What a run has promised about the networks that it deploys: terms of its search, and its budgets.

    Args:
        config: the run.
        data: its images.
        runtime: device and processes.
        quiet: tell nothing on standard error.
    """

    def __init__(self, config: Config, data: ImageData, runtime: Runtime, *, quiet: bool = False) -> None:
        self.config, self.ranks, self.quiet = config, runtime.ranks, quiet
        self.deployment = Deployment(
            config.space, config.network, data.num_classes, data.image_shape, str(runtime.device)
        )
        setting = Setting(self.deployment, config.search.estimator, self.ranks, self.say)
        objectives = config.search.objectives if config.genotype is None else {}
        self.terms = start_terms(objectives, setting)
        self.budgets = parse_budgets(config.budgets)

    def say(self, line: str) -> None:
        """Tell the user something."""
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)

    def contract(self) -> Contract | None:
        """Return the budgets, to be held against architectures; None without any."""
        objectives = self.config.search.objectives
        clauses = [clause_of(budget, objectives, self.terms, self.deployment) for budget in self.budgets]
        return Contract(clauses, self.ranks, self.say) if clauses else None

    def require_possible(self) -> None:
        """Measure what the terms have to know, and refuse budgets that can't be met; on rank 0 alone.

        Raises:
            UserError: says what the least possible is, or what the genotype that is to be trained costs.
        """
        for term in self.terms.values():
            term.prepare()
        contract, given = self.contract(), self.config.genotype
        if contract is not None and given is None:
            contract.require_possible()
        elif contract is not None and given is not None:
            contract.require_met(load_genotype(given))

    def preview(self) -> dict[str, str]:
        """Return for each budget the least possible, where that can be counted in seconds."""
        contract, found = self.contract(), dict[str, str]()
        for number, budget in enumerate(self.budgets):
            found[str(budget)] = "measured before the search"
            if contract is not None and contract.clauses[number].gauge.is_exact and self.config.genotype is None:
                found[str(budget)] = f"least possible {budget.show(contract.least(number).value)}"
        return found

    def judge(self, path: Path, network: nn.Module) -> list[Verdict]:
        """Return the verdicts on an exported network; see `unas.delivery.judge_delivery`."""
        return judge_delivery(path, network, self.budgets, self.config.search.objectives, self.deployment)

    def share(self) -> None:
        """Give the other ranks what rank 0 has measured."""
        if self.ranks.size > 1:
            for term in self.terms.values():
                term.load_state_dict(self.ranks.on_main(term.state_dict))
