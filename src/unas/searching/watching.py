"""What a reader watches while a search runs, beside the terms of its cost."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Sample
from unas.compute.scores import Scoring
from unas.graphs.evaluation import evaluation_mode
from unas.searching.step import SearchStep


def watched(search: SearchStep) -> dict[str, float]:
    """Return the learning rates, the norms of the gradients and τ of the last step.

    What is the policy's is absent where it has not learned, and what is the weights' likewise.
    """
    figures: dict[str, float] = {}
    if search.weight_norm is not None:
        figures["weights_lr"] = search.weight_optimiser.param_groups[0]["lr"]
        figures["weights_gradient_norm"] = search.weight_norm
    if search.policy_norm is not None:
        figures["policy_lr"] = search.policy_optimiser.param_groups[0]["lr"]
        figures["policy_gradient_norm"] = search.policy_norm
    temperature = _temperature(search)
    if temperature is not None:
        figures["temperature"] = temperature
    return figures


@torch.no_grad()
def mode_scores(search: SearchStep, batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Return how well the policy's mode, a hard architecture, does; {} on no images."""
    layout = search.policy.layout
    mode = Genotype(layout.space, search.policy.mode())
    sample = Sample.from_genotypes(layout, [mode])
    scoring = Scoring()
    is_empty = True
    losses = search.judging
    with evaluation_mode(losses.supernet), search.runtime.computing():
        for images, labels in batches:
            scoring.add(losses.logits(images, sample), labels)
            is_empty = False
    if search.ranks.largest(int(not is_empty)) == 0:
        return {}
    return scoring.result(search.ranks).figures("mode")


def _temperature(search: SearchStep) -> float | None:
    """Return τ of the relaxed samples: the estimator's, else of those that train the weights."""
    of_estimator = getattr(search.config.estimator, "temperature", None)
    if search.policy_norm is not None and isinstance(of_estimator, int | float):
        return of_estimator
    return search.config.relaxed_temperature if search.config.weights_on == "relaxed" else None
