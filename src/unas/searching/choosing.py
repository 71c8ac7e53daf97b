"""From the final policy to one architecture."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
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

LEAST_CANDIDATES = 8  # how many that meet the budgets are compared at least
DRAWS = 512  # how many architectures are drawn to find so many
MEASURED = 8  # how many are measured before cheaper ones are drawn
# The part of its choices that a candidate has from the cheapest architecture, one after the other.
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


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
class Candidate:
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
) -> tuple[Candidate, list[Candidate]]:
    """Return the best candidate and all that were compared.

    Without budgets, the first of them is the policy's mode.

    Args:
        search: a finished search.
        config: how to choose.
        batches: normalised validation images with labels; of several processes, the part of this
            one.
        budgets: what the candidate's network must meet.
    """
    if budgets:
        return _choose_within(search, config, batches, budgets)
    candidates = evaluated(search, _mode_and_draws(search, config.candidates), batches)
    return min(candidates, key=_order), candidates


def _choose_within(
    search: SearchStep,
    config: ChoosingConfig,
    batches: Iterable[tuple[Tensor, Tensor]],
    budgets: RunBudgets,
) -> tuple[Candidate, list[Candidate]]:
    """Return the best candidate whose real network meets the budgets, and all that were compared.

    Candidates that are counted or predicted to break a budget are not compared; the best of the
    others are measured in turn. If none keeps a margin, the next ones have more of their choices
    from the cheapest architecture.
    """
    compared: list[Candidate] = []
    measured: list[Candidate] = []
    wanted = max(config.candidates, LEAST_CANDIDATES)
    for share in SHARES:
        known = {candidate.genotype for candidate in compared}
        genotypes = _admitted(search, budgets, share, wanted, known)
        candidates = sorted(evaluated(search, genotypes, batches), key=_order)
        compared += candidates
        for candidate in candidates[:MEASURED]:
            if budgets.within(candidate.genotype):
                return candidate, compared
            measured.append(candidate)
    within = [candidate for candidate in measured if budgets.within(candidate.genotype, margin=0.0)]
    if within:
        return min(within, key=_order), compared
    budgets.say("no architecture was found that meets every budget; the cheapest one is taken")
    (cheapest,) = evaluated(search, [budgets.cheapest()], batches)
    return cheapest, [*compared, cheapest]


def _admitted(
    search: SearchStep,
    budgets: RunBudgets,
    share: float,
    wanted: int,
    known: Collection[Genotype],
) -> list[Genotype]:
    """Return up to `wanted` architectures that may meet the budgets, none of them `known`."""
    admitted: list[Genotype] = []
    for genotype in _cheapened(search, budgets, share):
        is_new = genotype not in known and genotype not in admitted
        if is_new and budgets.admits(genotype):
            admitted.append(genotype)
        if len(admitted) == wanted:
            break
    return admitted


def _cheapened(search: SearchStep, budgets: RunBudgets, share: float) -> Iterator[Genotype]:
    """Yield the policy's mode and draws, with a share of the cheapest architecture's choices."""
    cheapest = budgets.cheapest()
    if share == 1:
        yield cheapest
        return
    blocks = budgets.blocks
    seed = step_seed(search.seed, "choosing/cheaper", round(100 * share))
    generator = np.random.default_rng(seed)
    for genotype in _mode_and_draws(search, DRAWS):
        choices = dict(genotype.choices)
        for block in blocks:
            if generator.random() < share:
                choices |= {name: cheapest.choices[name] for name in block}
        yield Genotype(genotype.space, choices)


def _mode_and_draws(search: SearchStep, draws: int) -> list[Genotype]:
    """Return the policy's mode and what is drawn from the policy, each architecture once."""
    policy = search.policy
    genotypes = [Genotype(policy.layout.space, policy.mode())]
    if draws:
        sample = draw_hard(policy, draws, generator_for(search.seed, "choosing", 0))
        genotypes += sample.genotypes()
    return list(dict.fromkeys(genotypes))


def _order(candidate: Candidate) -> tuple[bool, float]:
    """Return what candidates are ordered by: their loss; NaN, which has no order, is last."""
    return math.isnan(candidate.validation_loss), candidate.validation_loss


@torch.no_grad()
def evaluated(
    search: SearchStep, genotypes: Sequence[Genotype], batches: Iterable[tuple[Tensor, Tensor]]
) -> list[Candidate]:
    """Return how architectures do in the supernet; each batch is read once for all of them.

    Args:
        search: has the supernet.
        genotypes: the architectures.
        batches: normalised images with labels; of several processes, the part of this one.
    """
    if not genotypes:
        return []
    samples = [Sample.from_genotypes(search.policy.layout, [genotype]) for genotype in genotypes]
    totals = torch.zeros(len(samples), 3, dtype=torch.float64)  # loss, correct ones, images
    with evaluation_mode(search.supernet):
        for images, labels in batches:
            for i, sample in enumerate(samples):
                logits = search.losses.logits(images, sample)
                loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
                correct = (logits.argmax(1) == labels).sum()
                sums = [float(loss), float(correct), len(labels)]
                totals[i] += torch.tensor(sums, dtype=totals.dtype)
    candidates = []
    for genotype, row in zip(genotypes, totals.tolist(), strict=True):
        loss_sum, correct_sum, images_sum = search.ranks.sum(*row)
        candidates.append(Candidate(genotype, loss_sum / images_sum, correct_sum / images_sum))
    return candidates
