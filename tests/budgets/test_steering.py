"""The terms that steer a search toward its budgets, beside those that it has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import unas
from fake_clock import SPACE
from small_run import of_median, small
from unas.architecture.policy import Layout, Policy
from unas.budgets.budget import read_budgets
from unas.estimators.base import RunningEstimator
from unas.objectives import PolicyTerm, RunningTerm, Setting
from unas.objectives import latency as latency_term
from unas.objectives.cross_entropy import CrossEntropy
from unas.objectives.energy import EnergyTerm
from unas.objectives.macs import MacsTerm


def aims(config: unas.Config, *budgets: str) -> dict[str, Any]:
    """Return the terms of a run with budgets, with its own of before."""
    config = replace(config, budgets=read_budgets(budgets))
    search = config.steered_search()
    assert replace(config, search=search).steered_search() == search
    return dict(search.objectives)


def test_a_term_that_aims_above_a_budget_is_lowered_to_it() -> None:
    config = unas.recipe("imagenet-mobile")
    own = config.search.objectives["latency"]
    assert isinstance(own, latency_term.LatencyTerm)
    lowered = replace(own, target_ms=0.95 * 5)
    assert aims(config, "latency<=5ms@eager,batch=24")["latency"] == lowered
    assert aims(config, "latency<=12ms@eager,batch=24")["latency"] == own  # it aims lower already
    for another in ("latency<=5ms@onnxruntime,batch=24", "latency<=5ms@eager"):
        assert aims(config, another)["latency"] == own
    terms = {
        "cross_entropy": CrossEntropy(),
        "macs": MacsTerm(limit=9e6, weight=3.0),
        "energy": EnergyTerm(limit=90.0),
    }
    config = small()
    config = replace(config, search=replace(config.search, objectives=terms))
    found = aims(config, "macs<=6M", "energy<=50mJ")
    assert found == {
        **terms,
        "macs": MacsTerm(limit=6e6, weight=3.0),
        "energy": EnergyTerm(limit=0.95 * 50),
    }


class OwnMacs(PolicyTerm):
    """A term about multiply-adds that has no table, such as a penalty of one's own."""

    quantity = "macs"

    def start(self, setting: Setting) -> RunningTerm:
        return OwnPenalty(setting.estimator.start(Layout(SPACE.choices, "module")))


class OwnPenalty(RunningTerm):
    def __init__(self, estimator: RunningEstimator) -> None:
        self.estimator = estimator

    def prepare(self) -> None:
        pass

    def loss(
        self,
        policy: Policy,
        step: int,  # noqa: ARG002
        generator: torch.Generator,  # noqa: ARG002
    ) -> torch.Tensor:
        return 0 * policy.entropy()

    def figures(self, policy: Policy) -> dict[str, float]:  # noqa: ARG002
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


def test_a_term_of_ones_own_about_a_quantity_stands_beside_the_budgets_term(
    tmp_path: Path,
) -> None:
    config = small()
    objectives = {**config.search.objectives, "macs": OwnMacs()}
    config = replace(
        config,
        search=replace(config.search, objectives=objectives),
        budgets=read_budgets([of_median("macs", 0.6)]),
    )
    result = unas.search(config, tmp_path / "run", quiet=True)
    assert result.summary["budgets"][0]["passed"]
    assert "macs_budget" in config.steered_search().objectives
