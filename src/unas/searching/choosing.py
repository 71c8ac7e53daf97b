"""From the final policy to one architecture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Sample
from unas.budgets.run_budgets import RunBudgets
from unas.common.errors import UserError
from unas.compute.seeds import generator_for, step_seed
from unas.estimators import draw_hard
from unas.graphs.evaluation import evaluation_mode
from unas.searching.step import SearchStep

LEAST_CANDIDATES = 8  # that meet the budgets, where there are some
DRAWS = 512  # to find so many
MEASURED = 8  # candidates that are measured before cheaper ones are drawn
SHARES = (
    0.0,
    0.25,
    0.5,
    0.75,
    1.0,
)  # part of the choices that a candidate has from the cheapest architecture


@dataclass(frozen=True)
class ChoosingConfig:
    """How an architecture is picked from the final policy.

    Args:
        candidates: how many architectures to draw beside the policy's mode; the one with the least
            validation loss in the supernet is taken. 0 takes the mode. With budgets, at least 8
            that may meet them are compared.
    """

    candidates: int = 0

    def __post_init__(self) -> None:
        if self.candidates < 0:
            raise UserError(f"choosing.candidates is {self.candidates}; it must be 0 or more")


@dataclass(frozen=True)
class Choice:
    """An architecture and how it did in the supernet on validation data.

    Args:
        genotype: the architecture.
        validation_loss: mean cross-entropy.
        validation_accuracy: share of images, from 0 to 1.
    """

    genotype: Genotype
    validation_loss: float
    validation_accuracy: float


def choose(
    search: SearchStep,
    config: ChoosingConfig,
    batches: Iterable[tuple[Tensor, Tensor]],
    budgets: RunBudgets | None = None,
) -> tuple[Choice, list[Choice]]:
    """Return the best candidate and all that were compared; without budgets the policy's mode is the first.

    Args:
        search: a finished search.
        config: how to choose.
        batches: normalised validation images with labels; of several processes, the part of this
            one.
        budgets: what the candidate's network must meet.
    """
    if budgets:
        return _choose_within(search, config, batches, budgets)
    policy = search.policy
    genotypes = [Genotype(search.space.registry_name, policy.mode())]
    if config.candidates:
        drawn = draw_hard(policy, config.candidates, generator_for(search.seed, "choosing", 0))
        genotypes += [
            genotype for genotype in dict.fromkeys(drawn.genotypes()) if genotype not in genotypes
        ]
    choices = _evaluate(search, genotypes, batches)
    return min(choices, key=_order), choices


def _choose_within(
    search: SearchStep,
    config: ChoosingConfig,
    batches: Iterable[tuple[Tensor, Tensor]],
    budgets: RunBudgets,
) -> tuple[Choice, list[Choice]]:
    """Return the best candidate whose real network meets the budgets, from the policy or as near to it as there is one.

    Candidates that are counted or predicted to break a budget are not compared; the best of the
    others are measured in turn. If none keeps a margin, the next ones have more of their choices
    from the cheapest architecture.
    """
    compared: list[Choice] = []
    measured: list[Choice] = []
    wanted = max(config.candidates, LEAST_CANDIDATES)
    for share in SHARES:
        genotypes: list[Genotype] = []
        for genotype in _candidates(search, budgets, share):
            if all(genotype != choice.genotype for choice in compared) and budgets.admits(genotype):
                genotypes.append(genotype)
            if len(genotypes) == wanted:
                break
        choices = sorted(_evaluate(search, genotypes, batches), key=_order)
        compared += choices
        for choice in choices[:MEASURED]:
            if budgets.within(choice.genotype):
                return choice, compared
            measured.append(choice)
    if within := [choice for choice in measured if budgets.within(choice.genotype, margin=0.0)]:
        return min(within, key=_order), compared
    budgets.say("no architecture was found that meets every budget; the cheapest one is taken")
    (last,) = _evaluate(search, [budgets.cheapest()], batches)
    return last, [*compared, last]


def _candidates(search: SearchStep, budgets: RunBudgets, share: float) -> Iterator[Genotype]:
    """Yield different architectures: the policy's mode and draws, with a share of choices from the cheapest one."""
    policy, blocks, least = search.policy, budgets.blocks, budgets.cheapest()
    if share == 1:
        yield least
        return
    drawn = draw_hard(policy, DRAWS, generator_for(search.seed, "choosing", 0)).genotypes()
    generator = np.random.default_rng(
        step_seed(search.seed, "choosing/cheaper", round(100 * share))
    )
    for genotype in dict.fromkeys([Genotype(search.space.registry_name, policy.mode()), *drawn]):
        taken = {name for block in blocks if generator.random() < share for name in block}
        choices = {
            name: (least if name in taken else genotype).choices[name] for name in genotype.choices
        }
        yield Genotype(genotype.space, choices)


def _order(choice: Choice) -> tuple[bool, float]:
    """Return what candidates are ordered by: their loss; NaN compares as neither less nor more, so it comes last."""
    return math.isnan(choice.validation_loss), choice.validation_loss


@torch.no_grad()
def _evaluate(
    search: SearchStep, genotypes: Sequence[Genotype], batches: Iterable[tuple[Tensor, Tensor]]
) -> list[Choice]:
    """Return how architectures do in the supernet; each batch is read once for all of them."""
    samples = [Sample.from_genotypes(search.policy.layout, [genotype]) for genotype in genotypes]
    totals = torch.zeros(len(samples), 3, dtype=torch.float64)
    with evaluation_mode(search.supernet):
        for images, labels in batches:
            for i, sample in enumerate(samples):
                logits = search.losses.logits(images, sample)
                loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
                correct = (logits.argmax(1) == labels).sum()
                totals[i] += torch.tensor(
                    [float(loss), float(correct), len(labels)], dtype=totals.dtype
                )
    sums = [search.ranks.sum(*row) for row in totals.tolist()]
    pairs = zip(genotypes, sums, strict=True)
    return [
        Choice(genotype, loss / total, correct / total)
        for genotype, (loss, correct, total) in pairs
    ]
