"""Successive halving: what it finds, what it costs, and that several processes agree on it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from planted_losses import a_search, key_of, noise_of, numbered, plant
from unas.architecture.genotype import Genotype
from unas.compute.ranks import Ranks
from unas.compute.seeds import generator_for
from unas.estimators import draw_hard
from unas.searching.choosing import ChoosingConfig, choose
from unas.searching.halving import Entrant, compare
from unas.searching.step import SearchStep


def hard(genotype: Genotype, numbers: Tensor) -> Tensor:
    """Losses of which a few images say little: noise is thirty times what architectures differ by."""
    image = 2 + torch.sin(numbers)
    return (image + 0.3 * key_of(genotype) + 0.2 * noise_of(genotype, numbers)).clamp(min=0.01)


def entrants_of(search: SearchStep, draws: int) -> list[Entrant]:
    """Return the mode and so many different draws."""
    sample = draw_hard(search.policy, 4 * draws, generator_for(0, "test", 0))
    genotypes = list(dict.fromkeys(sample.genotypes()))[:draws]
    assert len(genotypes) == draws
    mode = Genotype("darts", search.policy.mode())
    return [Entrant(mode, "mode"), *map(Entrant, genotypes)]


@pytest.mark.parametrize(("draws", "as_many_on_all"), [(64, 20), (256, 28)])
def test_hundreds_cost_what_dozens_cost_on_all_images(
    draws: int, as_many_on_all: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = a_search()
    evaluated = plant(monkeypatch, hard)
    entrants = entrants_of(search, draws)
    compare(search, entrants, numbered(1024, size=32))
    assert sum(images for _, images in evaluated) == (as_many_on_all + 1) * 1024  # and the mode's


def test_the_better_half_goes_on_to_twice_as_many_images(monkeypatch: pytest.MonkeyPatch) -> None:
    search = a_search()
    plant(monkeypatch, hard)
    mode, *draws = entrants_of(search, 64)
    compare(search, [mode, *draws], numbered(1024, size=32))
    assert mode.images == 1024
    assert Counter(draw.images for draw in draws) == {128: 32, 256: 16, 512: 8, 1024: 8}
    for seen in (128, 256, 512):
        stayed = [draw for draw in draws if draw.images > seen]
        left = [draw for draw in draws if draw.images == seen]
        worst = max(float(draw.all_losses()[:seen].mean()) for draw in stayed)
        assert worst <= min(float(draw.all_losses().mean()) for draw in left)


def test_halving_finds_what_evaluating_everything_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    search = a_search()
    plant(monkeypatch, hard)
    batches = numbered(1024, size=32)
    entrants = entrants_of(search, 128)
    compare(search, entrants, batches)
    whole = [Entrant(entrant.genotype, "random") for entrant in entrants]  # which never leave
    compare(search, whole, batches)
    best = min(whole, key=lambda entrant: float(entrant.all_losses().mean()))
    found = min(
        (entrant for entrant in entrants if entrant.images == 1024),
        key=lambda entrant: float(entrant.all_losses().mean()),
    )
    assert found.genotype == best.genotype
    for entrant, of_all in zip(entrants, whole, strict=True):
        assert entrant.all_losses().equal(of_all.all_losses()[: entrant.images])


def test_few_images_halve_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    search = a_search()
    plant(monkeypatch, hard)
    draws = entrants_of(search, 64)[1:]
    compare(search, draws, numbered(40, size=16))  # three batches: one halving
    assert Counter(draw.images for draw in draws) == {16: 32, 40: 32}


def test_eight_draws_see_all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, hard)
    chosen = choose(a_search(), ChoosingConfig(candidates=8), numbered(64, size=8))
    assert {candidate.images for candidate in chosen.candidates} == {64}


def test_a_draw_without_a_loss_leaves_first(monkeypatch: pytest.MonkeyPatch) -> None:
    search = a_search()
    draws = entrants_of(search, 16)[1:]

    def broken(genotype: Genotype, numbers: Tensor) -> Tensor:
        return torch.full_like(numbers, torch.nan if genotype == draws[0].genotype else 1.0)

    plant(monkeypatch, broken)
    compare(search, draws, numbered(64, size=8))
    assert draws[0].images == 32
    assert draws[1].images == 64


@dataclass
class Table:
    """Where two threads add up their numbers."""

    barrier: threading.Barrier = field(default_factory=lambda: threading.Barrier(2))
    numbers: dict[int, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Threads(Ranks):
    """Two processes, played by threads."""

    size: int = 2
    table: Table = field(default_factory=Table)

    def sum(self, *numbers: float) -> tuple[float, ...]:
        self.table.numbers[self.rank] = numbers
        self.table.barrier.wait(30)
        sums = tuple(map(sum, zip(*self.table.numbers.values(), strict=True)))
        self.table.barrier.wait(30)
        return sums

    def largest(self, number: float) -> float:
        self.table.numbers[self.rank] = (number,)
        self.table.barrier.wait(30)
        most = max(numbers[0] for numbers in self.table.numbers.values())
        self.table.barrier.wait(30)
        return most


def test_two_processes_decide_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, hard)
    config = ChoosingConfig(candidates=40)
    batches = numbered(150, size=10)  # eight batches for one, seven for the other
    table = Table()
    found = {}

    def process(rank: int) -> None:
        search = a_search(Threads(rank, table=table))
        found[rank] = choose(search, config, batches[rank::2])

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    assert max(candidate.images for candidate in found[0].candidates) == 150
    alone = choose(a_search(), config, batches)
    assert found[0].best.genotype == alone.best.genotype
    assert found[0].best.validation_loss == pytest.approx(alone.best.validation_loss)
