"""How far a supernet ranks architectures as a table does: Kendall's τ."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from unas.compute.seeds import step_seed
from unas.lab.ranking.truth import Truth
from unas.pipeline.batches import EvaluationBatches, drawn, search_streams
from unas.pipeline.work import Work
from unas.searching.halving import supernet_losses
from unas.searching.step import SearchStep

ALL = "all"
BEST_TENTH = "best_tenth"


def kendall_tau(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Kendall's τ-b of two lists of equal length; None where one is constant."""
    signs = [np.sign(np.subtract.outer(values, values)) for values in (np.array(x), np.array(y))]
    untied = [float((sign != 0).sum()) for sign in signs]
    if 0.0 in untied:
        return None
    return float((signs[0] * signs[1]).sum() / (untied[0] * untied[1]) ** 0.5)


def some_validation_images(work: Work, count: int) -> EvaluationBatches:
    """Return batches of so many of the search's validation images, drawn by the run's seed."""
    _, validation = search_streams(work.config, work.data, work.ranks)
    images = drawn(work.config, validation.image_set, count, "ranking/images")
    return EvaluationBatches(work.data, images, work.ranks)


def agreement(
    work: Work, search: SearchStep, truth: Truth, architectures: int, images: int
) -> dict[str, Any] | None:
    """Return τ between minus the supernet's validation loss and the table's accuracy.

    Args:
        work: the run of the search.
        search: has the supernet.
        truth: the table.
        architectures: how many are drawn, once from all and once from the best tenth; 0: nothing is
            measured.
        images: how many validation images each sees.
    """
    if not architectures:
        return None
    batches = some_validation_images(work, images)
    taus: dict[str, Any] = {}
    for name in (ALL, BEST_TENTH):
        seed = step_seed(work.config.seed, f"ranking/{name}", 0)
        generator = np.random.default_rng(seed)
        positions = truth.draw(architectures, generator, among_best=name == BEST_TENTH)
        genotypes = [truth.genotype(position) for position in positions.tolist()]
        losses = supernet_losses(search, genotypes, work.session.stoppable(batches))
        # What isn't finite is worse than anything.
        scores = [-loss if math.isfinite(loss) else -sys.float_info.max for loss in losses]
        taus[name] = kendall_tau(scores, truth.accuracies[positions].tolist())
    return taus
