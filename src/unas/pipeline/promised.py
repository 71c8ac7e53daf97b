"""What a run has promised about the networks that it deploys: terms of its search, and its budgets."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from unas.architecture.published import load_genotype
from unas.budgets.budget import Verdict, parse_budgets
from unas.budgets.contract import Contract, clause_of
from unas.budgets.verdicts import judge_delivery
from unas.compute.runtime import Runtime
from unas.config import Config
from unas.data import ImageData
from unas.objectives import PolicyTerm, RunningTerm, Setting, Term


def start_terms(objectives: Mapping[str, Term], setting: Setting) -> dict[str, RunningTerm]:
    """Return the terms that are about the deployed network, started, by name."""
    return {
        name: term.start(setting)
        for name, term in objectives.items()
        if isinstance(term, PolicyTerm)
    }


class Promised:
    """What a run has promised about the networks that it deploys: terms of its search, and its budgets.

    Args:
        config: the run.
        data: its images.
        runtime: device and processes.
        quiet: tell nothing on standard error.
    """

    def __init__(
        self, config: Config, data: ImageData, runtime: Runtime, *, quiet: bool = False
    ) -> None:
        self.config, self.ranks, self.quiet = config, runtime.ranks, quiet
        self.blueprint = config.blueprint(data.num_classes, data.image_shape)
        self.device = str(runtime.device)
        setting = Setting(
            self.blueprint, config.search.estimator, self.ranks, self.say, self.device
        )
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
        clauses = [
            clause_of(budget, objectives, self.terms, self.blueprint, self.device)
            for budget in self.budgets
        ]
        return Contract(clauses, self.ranks, self.say) if clauses else None

    def require_possible(self) -> None:
        """Measure what the terms have to know, and refuse budgets that can't be met; on rank 0 alone.

        Raises:
            UserError: says what the least possible is, or what the genotype that is to be trained
                costs.
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
            if (
                contract is not None
                and contract.clauses[number].gauge.is_exact
                and self.config.genotype is None
            ):
                found[str(budget)] = f"least possible {budget.show(contract.least(number).value)}"
        return found

    def judge(self, path: Path, network: nn.Module) -> list[Verdict]:
        """Return the verdicts on an exported network; see `unas.budgets.verdicts.judge_delivery`."""
        return judge_delivery(
            path,
            network,
            self.budgets,
            self.config.search.objectives,
            blueprint=self.blueprint,
            device=self.device,
        )

    def share(self) -> None:
        """Give the other ranks what rank 0 has measured."""
        if self.ranks.size > 1:
            for term in self.terms.values():
                term.load_state_dict(self.ranks.on_main(term.state_dict))
