"""Is a search better than chance? Tests against scipy, numpy and simulated losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from planted_losses import a_search, key_of, noise_of, numbered, plant
from unas.architecture.genotype import Genotype
from unas.compute.ranks import ONE_PROCESS
from unas.searching.candidates import Candidate, judged
from unas.searching.choosing import ChoosingConfig, choose
from unas.searching.halving import Entrant
from unas.searching.separation import Separation, gain_of, spread_of


def entrants_with(losses: NDArray[np.float64]) -> list[Entrant]:
    """Return entrants with losses [architectures, images]."""
    entrants = []
    for number, row in enumerate(losses):
        genotype = Genotype("module", {"layer": str(number)})
        entrants.append(Entrant(genotype, "draw", [torch.from_numpy(row)], [torch.tensor(1)]))
    return entrants


def test_two_architectures_are_a_paired_t_test() -> None:
    losses = np.random.default_rng(0).gamma(2, size=(2, 50))
    spread = spread_of(entrants_with(losses), ONE_PROCESS)
    assert spread is not None
    assert (spread.architectures, spread.images) == (2, 50)
    assert spread.p == pytest.approx(stats.ttest_rel(losses[0], losses[1]).pvalue, rel=1e-9)


def test_several_are_the_analysis_of_variance_of_the_textbook() -> None:
    generator = np.random.default_rng(1)
    count, images = 5, 60
    losses = generator.normal(size=(count, images)) * np.array([[0.1], [0.2], [1], [2], [1]])
    losses += generator.normal(size=images) + 0.2 * np.arange(count)[:, None]
    residuals = losses - losses.mean(1, keepdims=True) - losses.mean(0) + losses.mean()
    between = images * ((losses.mean(1) - losses.mean()) ** 2).sum() / (count - 1)
    within = (residuals**2).sum() / ((count - 1) * (images - 1))
    cov = np.cov(losses)
    epsilon = (count * (cov.diagonal().mean() - cov.mean())) ** 2 / (
        (count - 1)
        * ((cov**2).sum() - 2 * count * (cov.mean(1) ** 2).sum() + (count * cov.mean()) ** 2)
    )
    freedom = epsilon * (count - 1)
    expected = stats.f.sf(between / within, freedom, freedom * (images - 1))
    spread = spread_of(entrants_with(losses), ONE_PROCESS)
    assert spread is not None
    assert 0.3 < epsilon < 0.9
    assert spread.p == pytest.approx(expected, rel=1e-9)


def test_equally_good_architectures_are_told_apart_as_seldom_as_stated() -> None:
    """Also where some are alike and some are noisier than others."""
    generator = np.random.default_rng(2)
    p = []
    for _ in range(600):
        of_image, of_kind = generator.normal(size=(2, 80))
        losses = of_image + generator.normal(size=(8, 80)) * np.linspace(0.2, 2, 8)[:, None]
        losses[:4] += of_kind
        spread = spread_of(entrants_with(losses), ONE_PROCESS)
        assert spread is not None
        p.append(spread.p)
    for level in (0.05, 0.2):
        fewest, most = stats.binom.interval(0.999, 600, level)
        assert 0.4 * fewest <= sum(value < level for value in p) <= most


def test_what_cannot_be_tested_is_not() -> None:
    one = np.ones((1, 5))
    assert spread_of(entrants_with(one), ONE_PROCESS) is None
    assert spread_of(entrants_with(np.array([[1.0, 2.0], [np.nan, 1.0]])), ONE_PROCESS) is None
    assert spread_of(entrants_with(np.ones((3, 1))), ONE_PROCESS) is None
    assert not Separation(None, None).is_proven
    assert Separation(None, None).alarms() == {}
    equal = spread_of(entrants_with(np.full((7, 9), 1 / 3)), ONE_PROCESS)
    assert equal is not None
    assert equal.p == 1


def test_paired_errors_are_those_of_the_full_matrix() -> None:
    losses = np.random.default_rng(3).gamma(2, size=(4, 200))
    entrants = entrants_with(losses)
    entrants[2].losses = [entrants[2].losses[0][:50]]  # it has left early
    candidates = judged(entrants, entrants[1], ONE_PROCESS)
    for row, candidate in enumerate(candidates):
        images = 50 if row == 2 else 200
        paired = losses[row, :images] - losses[1, :images]
        assert candidate.images == images
        assert candidate.validation_loss == pytest.approx(losses[row, :images].mean())
        assert candidate.difference == pytest.approx(paired.mean())
        assert candidate.difference_error == pytest.approx(stats.sem(paired))


def candidate(number: int, difference: float, error: float) -> Candidate:
    genotype = Genotype("module", {"layer": str(number)})
    return Candidate(genotype, "random", 100, 1.0, 0.5, difference, error)


def test_the_best_is_held_against_the_median_of_the_others() -> None:
    best = candidate(0, 0.0, 0.0)
    mode = replace(candidate(9, 0.25, 0.1), source="mode")
    controls = [
        best,
        *(candidate(n, difference, 0.1) for n, difference in enumerate([0.4, 0.2, -1.0, 0.3], 1)),
    ]
    gain = gain_of(best, [mode, *[best] * 4], controls)
    assert gain is not None
    assert (gain.controls, gain.beaten, gain.beaten_by_mode) == (4, 3, 2)
    assert gain.difference == 0.2
    assert gain.p == pytest.approx(5 * stats.t.sf(2, 99))
    assert gain_of(best, [best], [best]) is None


def test_a_search_whose_architectures_are_all_alike_raises_the_alarm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def alike(genotype: Genotype, numbers: Tensor) -> Tensor:
        return (2 + torch.sin(numbers) + 0.2 * noise_of(genotype, numbers)).clamp(min=0.01)

    for candidates in (0, 8, 64):
        with monkeypatch.context() as patch:
            plant(patch, alike)
            batches = numbered(2000, size=50)
            separation = choose(a_search(), ChoosingConfig(candidates), batches).separation
        assert not separation.is_proven
        assert "the search has not separated architectures" in separation.alarms()["chance"]


def test_a_search_whose_mode_is_like_any_other_raises_the_alarm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Architectures differ, but the policy's is the worst of them."""
    search = a_search()
    mode = Genotype("darts", search.policy.mode())

    def misled(genotype: Genotype, numbers: Tensor) -> Tensor:
        good = 3.0 if genotype == mode else 1 + key_of(genotype)
        return (good + 0.1 * noise_of(genotype, numbers)).clamp(min=0.01)

    plant(monkeypatch, misled)
    separation = choose(search, ChoosingConfig(), numbered(200, size=50)).separation
    assert separation.spread is not None
    assert separation.spread.p < 1e-6
    assert "no better than chance" in separation.alarms()["chance"]


def test_a_search_that_has_found_something_raises_none(monkeypatch: pytest.MonkeyPatch) -> None:
    search = a_search()
    mode = search.policy.mode()

    def good(genotype: Genotype, numbers: Tensor) -> Tensor:
        different = sum(genotype.choices[name] != option for name, option in mode.items())
        return (1 + 0.02 * different + 0.2 * noise_of(genotype, numbers)).clamp(min=0.01)

    plant(monkeypatch, good)
    chosen = choose(search, ChoosingConfig(candidates=8), numbered(1000, size=50))
    assert chosen.separation.is_proven
    assert chosen.separation.alarms() == {}
    assert chosen.best.source == "mode"
