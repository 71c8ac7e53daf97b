"""From the final policy to one architecture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tiny import tiny_recipe
from unas.architecture.genotype import Genotype
from unas.architecture.policy import Sample
from unas.compute.runtime import RuntimeConfig
from unas.searching.candidates import Candidate
from unas.searching.choosing import ChoosingConfig, choose
from unas.searching.losses import Losses
from unas.searching.step import SearchStep


@pytest.fixture
def search() -> SearchStep:
    config = tiny_recipe()
    search = SearchStep(
        config.space, config.search, 10, 1, RuntimeConfig(device="cpu").build(), seed=2
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for logits in search.policy.logits.values():
            logits.copy_(torch.randn(logits.shape, generator=generator))
    return search


@pytest.fixture
def batches() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    sizes = (8, 4)
    return [
        (
            torch.randn(size, 1, 8, 8, generator=generator),
            torch.randint(10, (size,), generator=generator),
        )
        for size in sizes
    ]


def by_hand(
    search: SearchStep, candidate: Candidate, batches: list[tuple[Tensor, Tensor]]
) -> tuple[float, float]:
    sample = Sample.from_genotypes(search.policy.layout, [candidate.genotype])
    with torch.no_grad():
        logits = torch.cat([search.supernet(images, sample) for images, _ in batches])
    labels = torch.cat([labels for _, labels in batches])
    return float(F.cross_entropy(logits, labels)), float(
        (logits.argmax(1) == labels).float().mean()
    )


def test_no_candidates_is_the_mode(
    search: SearchStep, batches: list[tuple[Tensor, Tensor]]
) -> None:
    chosen = choose(search, ChoosingConfig(candidates=0), batches)
    best, choices = chosen.best, chosen.candidates
    assert choices == [best]
    assert best.genotype == Genotype("darts", search.policy.mode())
    assert (best.validation_loss, best.validation_accuracy) == pytest.approx(
        by_hand(search, best, batches), rel=1e-5
    )


def test_the_candidate_with_the_least_validation_loss_is_taken(
    search: SearchStep, batches: list[tuple[Tensor, Tensor]]
) -> None:
    chosen = choose(search, ChoosingConfig(candidates=8), batches)
    best, choices = chosen.best, chosen.candidates
    assert choices[0].genotype == Genotype("darts", search.policy.mode())
    assert len({choice.genotype for choice in choices}) == len(choices) == 9
    expected = [by_hand(search, choice, batches) for choice in choices]
    for choice, (loss, accuracy) in zip(choices, expected, strict=True):
        assert (choice.validation_loss, choice.validation_accuracy) == pytest.approx(
            (loss, accuracy), rel=1e-5
        )
    assert best == choices[min(range(9), key=lambda i: expected[i][0])]
    assert best != choices[0]


def test_a_policy_that_is_certain_has_one_candidate(
    search: SearchStep, batches: list[tuple[Tensor, Tensor]]
) -> None:
    with torch.no_grad():
        for logits in search.policy.logits.values():
            logits.mul_(1e4)
    assert len(choose(search, ChoosingConfig(candidates=10), batches).candidates) == 1


def test_the_same_search_gives_the_same_choice(
    search: SearchStep, batches: list[tuple[Tensor, Tensor]]
) -> None:
    state = {name: value.clone() for name, value in search.supernet.state_dict().items()}
    first = choose(search, ChoosingConfig(candidates=5), batches)
    torch.rand(3)
    assert choose(search, ChoosingConfig(candidates=5), batches) == first
    assert all(value.equal(state[name]) for name, value in search.supernet.state_dict().items())


def test_a_loss_that_is_not_a_number_is_never_the_best(
    search: SearchStep, batches: list[tuple[Tensor, Tensor]], monkeypatch: pytest.MonkeyPatch
) -> None:
    mode, logits = Genotype("darts", search.policy.mode()), Losses.logits

    def broken(self: Losses, images: Tensor, sample: Sample) -> Tensor:
        return logits(self, images, sample) * (float("nan") if sample.genotypes() == [mode] else 1)

    monkeypatch.setattr(Losses, "logits", broken)
    chosen = choose(search, ChoosingConfig(candidates=3), batches)
    best, choices = chosen.best, chosen.candidates
    assert best.genotype != mode
    assert best == min(choices[1:], key=lambda choice: choice.validation_loss)


@dataclass(frozen=True)
class AdmitsNothing:
    """Budgets that only the cheapest architecture can meet."""

    least: Genotype
    blocks: tuple[Any, ...] = ()

    def cheapest(self) -> Genotype:
        return self.least

    def admits(self, _: Genotype) -> bool:
        return False

    def say(self, _: str) -> None:
        pass


def test_batches_are_read_only_where_there_is_a_candidate(
    search: SearchStep, batches: list[tuple[Tensor, Tensor]]
) -> None:
    least = Genotype("darts", search.policy.mode())
    read: list[int] = []

    class Counted:
        def __len__(self) -> int:
            return len(batches)

        def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
            for number, batch in enumerate(batches):
                read.append(number)
                yield batch

    chosen = choose(search, ChoosingConfig(), Counted(), cast(Any, AdmitsNothing(least)))
    assert chosen.candidates == [chosen.best]
    assert chosen.controls == []
    assert chosen.best.genotype == least
    assert read == [0, 1]  # once, for the cheapest
