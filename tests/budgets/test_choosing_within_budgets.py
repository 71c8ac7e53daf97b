"""Choosing within budgets that are measured: what is dropped, what is taken where nothing fits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from fake_clock import BLUEPRINT, SPACE, FakeClock
from small_run import GENOTYPES, small
from unas.architecture.genotype import Genotype
from unas.architecture.policy import Policy
from unas.budgets.budget import Budget
from unas.budgets.quantities.latency import LatencyQuantity
from unas.budgets.run_budgets import MARGIN, RunBudgets
from unas.budgets.steering import steered
from unas.compute.runtime import RuntimeConfig
from unas.estimators.reinforce import Reinforce
from unas.latency import Fingerprint, Latency
from unas.latency.gauges import Stopwatch, quietest
from unas.objectives import Setting
from unas.pipeline.deployed import start_terms
from unas.searching.choosing import ChoosingConfig, choose
from unas.searching.step import SearchStep


def a_search(certain: Genotype | None = None) -> SearchStep:
    config = small()
    search = SearchStep(SPACE, config.search, 10, 1, RuntimeConfig(device="cpu").build(), seed=2)
    if certain is not None:
        with torch.no_grad():
            for name, logits in search.policy.logits.items():
                logits[SPACE.choices[name].index(certain.choices[name])] = 50
    return search


def a_budget(limit_ms: float, say: Callable[[str], None] = print) -> RunBudgets:
    budget = Budget(LatencyQuantity(), limit_ms, "ms", FakeClock())
    terms = start_terms(steered({}, [budget]), Setting(BLUEPRINT, Reinforce()))
    terms["latency"].prepare()
    return RunBudgets([budget], BLUEPRINT, terms=terms, say=say)


BATCHES = [(torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(8))]


def clocked(genotype: Genotype) -> float:
    return Stopwatch(BLUEPRINT, FakeClock())(genotype).value


def test_candidates_that_break_a_measured_budget_are_dropped() -> None:
    search, config = a_search(), ChoosingConfig(candidates=18)
    free = choose(search, config, BATCHES).best
    limit = 0.99 * clocked(free.genotype)  # so it is the budget that decides
    chosen = choose(search, config, BATCHES, a_budget(limit))
    best = chosen.best
    within = [
        choice for choice in chosen.candidates if clocked(choice.genotype) <= (1 - MARGIN) * limit
    ]
    assert best == min(within, key=lambda choice: choice.validation_loss)
    assert best != free


def test_a_policy_that_is_sure_of_too_much_gives_something_nearer_to_the_cheapest() -> None:
    times = [clocked(genotype) for genotype in GENOTYPES]
    dear = GENOTYPES[int(np.argmax(times))]
    best = choose(a_search(dear), ChoosingConfig(), BATCHES, a_budget(0.8 * max(times))).best
    assert clocked(best.genotype) <= 0.8 * max(times)
    assert best.genotype != dear


def test_an_unreachable_budget_gives_the_cheapest_and_says_so() -> None:
    lines: list[str] = []
    budgets = a_budget(0.5 * min(clocked(genotype) for genotype in GENOTYPES), lines.append)
    best = choose(a_search(), ChoosingConfig(), BATCHES, budgets).best
    assert clocked(best.genotype) == min(clocked(genotype) for genotype in GENOTYPES)
    assert "no architecture was found that meets every budget" in lines[0]
    assert [verdict.passed for verdict in budgets.verdicts(best.genotype)] == [False]


def test_a_noisy_measurement_is_repeated_and_the_least_noisy_counts() -> None:
    fingerprint = Fingerprint("cpu", 1, 1, None, "cpu", "eager", "1", "1", 1, 1, 8, 8)
    noisy = [
        Latency(1.0, 0.5, 1.5 + i, 50, "cpu", "eager", 0.9, 1.1, fingerprint) for i in (2, 1, 3)
    ]
    calm = Latency(2.0, 1.95, 2.05, 50, "cpu", "eager", 1.9, 2.1, fingerprint)
    assert quietest(iter(noisy).__next__) == noisy[1]
    assert quietest(iter([noisy[0], calm]).__next__) == calm


def test_an_architecture_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Genotype] = []
    of = Stopwatch.__call__
    monkeypatch.setattr(Stopwatch, "__call__", lambda self, g: read.append(g) or of(self, g))
    budgets, genotype = a_budget(1e6), Genotype("module", Policy(SPACE.choices).mode())
    assert budgets.within(genotype)
    budgets.require_met(genotype)
    assert budgets.verdicts(genotype)[0].reading.value == clocked(genotype)
    assert read == [genotype, genotype]  # the second time by this test
