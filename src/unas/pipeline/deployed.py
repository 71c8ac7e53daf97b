"""What the network that a run deploys costs: terms of its search, and its budgets."""

from __future__ import annotations

from collections.abc import Mapping

from unas.architecture.published import load_genotype
from unas.budgets.run_budgets import RunBudgets
from unas.compute.runtime import Runtime
from unas.config import Config
from unas.data import DataSize
from unas.objectives import PolicyTerm, RunningTerm, Setting, Term
from unas.runs.progress import say


def start_terms(objectives: Mapping[str, Term], setting: Setting) -> dict[str, RunningTerm]:
    """Return the terms that are about the deployed network, started, by name."""
    terms = {}
    for name, term in objectives.items():
        if isinstance(term, PolicyTerm):
            terms[name] = term.start(setting)
    return terms


class DeployedCosts:
    """The costs of the network that a run deploys.

    Args:
        config: the run.
        data: how many classes there are, and the shape of an image.
        runtime: device and processes.
        quiet: tell nothing on standard error.

    Attributes:
        terms: those of the search that are about the costs, by name; none where nothing is
            searched.
        budgets: what the costs may be at most.
    """

    def __init__(
        self, config: Config, data: DataSize, runtime: Runtime, *, quiet: bool = False
    ) -> None:
        self.ranks = runtime.ranks
        self.is_quiet = quiet
        self.genotype = config.genotype
        blueprint = config.blueprint(data.num_classes, data.image_shape)
        device = str(runtime.device)
        self.terms: dict[str, RunningTerm] = {}
        if config.genotype is None:
            setting = Setting(blueprint, config.search.estimator, self.ranks, self.say, device)
            self.terms = start_terms(config.steered_search().objectives, setting)
        self.budgets = RunBudgets(
            config.budgets, blueprint, device, self.terms, ranks=self.ranks, say=self.say
        )

    def say(self, line: str) -> None:
        """Tell the user something."""
        say(line, quiet=self.is_quiet)

    def prepare(self) -> None:
        """Count and measure what the terms must know; on rank 0 alone."""
        for term in self.terms.values():
            term.prepare()

    def require_possible(self) -> None:
        """Prepare the terms, and refuse budgets that can't be met.

        On rank 0 alone.

        Raises:
            UserError: says what the least possible is, or what the given architecture costs.
        """
        self.prepare()
        if self.genotype is None:
            self.budgets.require_possible()
        elif self.budgets:
            self.budgets.require_met(load_genotype(self.genotype))

    def share(self) -> None:
        """Give the other ranks what rank 0 has measured."""
        if self.ranks.size > 1:
            for term in self.terms.values():
                term.load_state_dict(self.ranks.on_main(term.state_dict))
