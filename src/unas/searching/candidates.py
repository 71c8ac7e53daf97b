"""What a comparison in the supernet says of each architecture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unas.architecture.genotype import Genotype
from unas.compute.ranks import Ranks
from unas.searching.halving import Entrant, Source, loss_totals


@dataclass(frozen=True)
class Candidate:
    """An architecture and how it did in the supernet on validation images.

    Args:
        genotype: the architecture.
        source: where it comes from.
        images: how many images it has seen.
        validation_loss: mean cross-entropy on these.
        validation_accuracy: share of them that it is right about, from 0 to 1.
        difference: mean of its losses less those of the best candidate on the same images.
        difference_error: standard error of that mean, of paired losses.
    """

    genotype: Genotype
    source: Source
    images: int
    validation_loss: float
    validation_accuracy: float
    difference: float
    difference_error: float

    def to_json(self) -> dict[str, Any]:
        """Return the fields as an entry of candidates.json."""
        return {
            "source": self.source,
            "images": self.images,
            "validation_loss": self.validation_loss,
            "validation_accuracy": self.validation_accuracy,
            "difference": self.difference,
            "difference_error": self.difference_error,
            "choices": dict(self.genotype.choices),
        }


def judged(entrants: Sequence[Entrant], best: Entrant, ranks: Ranks) -> list[Candidate]:
    """Return what is known of entrants, each beside the best one on the images that both have seen.

    Args:
        entrants: in any order.
        best: what they are held against.
        ranks: the processes, each with its part of the images.
    """
    of_best = best.all_losses()
    candidates = []
    for entrant, (loss, images) in zip(entrants, loss_totals(entrants, ranks), strict=True):
        differences = _differences(entrant.all_losses(), of_best)
        correct, shared, total, squares = ranks.sum(
            entrant.num_correct,
            len(differences),
            float(differences.sum()),
            float(differences.square().sum()),
        )
        mean, error = _mean_and_error(shared, total, squares)
        candidate = Candidate(
            entrant.genotype,
            entrant.source,
            int(images),
            loss / images,
            correct / images,
            mean,
            error,
        )
        candidates.append(candidate)
    return candidates


def _differences(losses: Tensor, of_best: Tensor) -> Tensor:
    shared = min(len(losses), len(of_best))
    return losses[:shared] - of_best[:shared]


def _mean_and_error(count: float, total: float, squares: float) -> tuple[float, float]:
    """Return the mean of numbers and its standard error, from their sum and that of squares."""
    mean = total / count
    if count < 2:
        return mean, math.nan
    variance = (squares - total * mean) / (count - 1)
    return mean, math.sqrt(max(variance, 0.0) / count)
