"""The gradient of the expected cost in the policy's logits, estimated in one step of a search."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from unas.architecture.policy import Policy
from unas.compute.finite import all_finite, carried_by_gradient
from unas.compute.ranks import Ranks
from unas.compute.seeds import generator_for
from unas.estimators import RunningEstimator
from unas.objectives import RunningTerm
from unas.searching.cost import SupernetCost
from unas.searching.sharing import SharedCost


def policy_gradients(
    policy: Policy,
    cost: SupernetCost,
    estimator: RunningEstimator,
    terms: Mapping[str, RunningTerm],
    *,
    ranks: Ranks,
    seed: int,
    step: int,
) -> tuple[Tensor, ...]:
    """Return an estimate of the gradient in the logits of each choice, the same on all ranks.

    Where a number in it or in what was learned from it isn't finite, no number of it is.

    Args:
        policy: the distribution over architectures.
        cost: of architectures on this step's batches; of several ranks, on the part of this one.
        estimator: what estimates the gradient of that cost; it learns from this.
        terms: what is added to the expected cost and has nothing to do with images.
        ranks: the processes that search together.
        seed: of the noise.
        step: the number of the search step; the noise is a function of it.
    """
    num_samples = cost.architectures * ranks.size
    shared = SharedCost(cost, ranks, num_samples)
    noise = generator_for(seed, "search/policy", step)
    loss = estimator(policy, shared, num_samples=num_samples, generator=noise)
    for name, term in terms.items():
        noise = generator_for(seed, f"search/terms/{name}", step)
        loss = loss + term.loss(policy, cost.step, noise)
    if not all_finite([learner.state_dict() for learner in learners(estimator, terms)]):
        loss = loss * torch.nan
    return torch.autograd.grad(
        carried_by_gradient(loss),
        list(policy.parameters()),
        retain_graph=cost.train_losses is not None,  # the update of the weights goes through it too
    )


def learners(
    estimator: RunningEstimator, terms: Mapping[str, RunningTerm]
) -> list[RunningEstimator]:
    """Return all that learns from the costs of a step, beside the policy."""
    of_terms = [term.estimator for term in terms.values() if term.estimator is not None]
    return [estimator, *of_terms]
