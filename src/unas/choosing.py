"""From the final policy to one architecture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unas.errors import UserError
from unas.estimators import draw_hard
from unas.genotype import Genotype
from unas.policy import Sample
from unas.search_update import SearchStep
from unas.seeds import generator_for


@dataclass(frozen=True)
class ChoosingConfig:
    """How an architecture is picked from the final policy.

    Args:
        candidates: how many architectures to draw beside the policy's mode; the one with the least validation loss
            in the supernet is taken. 0 takes the mode.
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
    search: SearchStep, config: ChoosingConfig, batches: Sequence[tuple[Tensor, Tensor]]
) -> tuple[Choice, list[Choice]]:
    """Return the best candidate and all of them, the policy's mode first.

    Args:
        search: a finished search.
        config: how to choose.
        batches: normalised validation images with labels.
    """
    policy = search.policy
    genotypes = [Genotype(search.space.name, policy.mode())]
    if config.candidates:
        drawn = draw_hard(policy, config.candidates, generator_for(search.seed, "choosing", 0))
        genotypes += [genotype for genotype in dict.fromkeys(drawn.genotypes()) if genotype not in genotypes]
    choices = [_evaluate(search, genotype, batches) for genotype in genotypes]
    # NaN compares as neither less nor more, so it would stay the best once it were first.
    return min(choices, key=lambda choice: (math.isnan(choice.validation_loss), choice.validation_loss)), choices


@torch.no_grad()
def _evaluate(search: SearchStep, genotype: Genotype, batches: Sequence[tuple[Tensor, Tensor]]) -> Choice:
    sample = Sample.from_genotypes(search.policy.layout, [genotype])
    loss, correct, total = 0.0, 0, 0
    for images, labels in batches:
        logits = search.logits(images, sample)
        loss += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
        correct += int((logits.argmax(1) == labels).sum())
        total += len(labels)
    return Choice(genotype, loss / total, correct / total)
