"""The cost of sampled architectures: losses of the supernet on one pair of batches, and the terms of the objective."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from unas.architecture.policy import Sample
from unas.compute.ranks import Ranks
from unas.estimators import Cost
from unas.objectives import Evaluation

if TYPE_CHECKING:
    from unas.searching.step import SearchStep


class SupernetCost:
    """The cost of architectures on one training and one validation batch, as estimators want it.

    Remembers the training losses of the first drawn sample of the kind that the weights are trained
    on, so that the update of the weights needs no forward of its own.
    """

    def __init__(self, search: SearchStep, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
        self.search = search
        self.batch = batch
        self.train_losses: Tensor | None = None
        self.terms: dict[str, float] = {}

    def __call__(self, sample: Sample) -> Tensor:
        """Return the cost of each architecture on the host, [G]; of m·G of them, on m copies of the batch, [m·G]."""
        search, copies = self.search, self._copies(sample)
        is_wanted = (
            sample.is_hard == (search.config.weights_on == "hard")
            and search.estimator.estimator.draws_from_policy
        )
        keep = is_wanted and self.train_losses is None
        if keep and copies > 1:  # the weights are trained on one copy: the others need no graph
            share = len(sample) // copies
            first, others = sample.split((share, len(sample) - share))
            return torch.cat([self(first), self(others)])
        x, y, x_val, y_val = (
            torch.cat([tensor] * copies) if copies > 1 else tensor for tensor in self.batch
        )
        with torch.enable_grad() if keep else nullcontext():
            train = search.losses(x, y, sample)
        if keep:
            self.train_losses = train
        needs_validation = any(term.needs_validation for term in search.image_terms.values())
        validation = search.losses(x_val, y_val, sample) if needs_validation else None
        evaluation = Evaluation(search.space, sample, train, validation)
        values = {name: term(evaluation).to("cpu") for name, term in search.image_terms.items()}
        if sample.is_hard or not self.terms:
            self.terms = {name: float(value.detach().mean()) for name, value in values.items()}
        step = search.policy_steps
        weighted = [
            term.weight_at(step) * values[name] for name, term in search.image_terms.items()
        ]
        return torch.stack(weighted).sum(0)

    def _copies(self, sample: Sample) -> int:
        """Return m for a sample of m·G architectures."""
        return max(len(sample) // self.search.own_architectures(len(self.batch[0])), 1)


class SharedCost:
    """The costs of a sample of m·G architectures, of which a rank evaluates m·G/N.

    Args:
        cost: maps a sample of m·G/N architectures to their costs [m·G/N], on the host.
        ranks: the processes; N of them.
        num_samples: G, a multiple of N.
    """

    def __init__(self, cost: Cost, ranks: Ranks, num_samples: int) -> None:
        self.cost, self.ranks = cost, ranks
        self.num_samples = num_samples

    def __call__(self, sample: Sample) -> Tensor:
        """Return the cost of each architecture, [m·G], differentiable in the sample's weights once."""
        if self.ranks.size == 1:
            return self.cost(sample)
        if torch.is_grad_enabled() and any(group.requires_grad for group in sample.groups):
            costs: Tensor = _Evaluation.apply(self, sample, *sample.groups)
            return costs
        return self.all_rows(self.cost(own_part(sample, self.ranks, self.num_samples)))

    def all_rows(self, own: Tensor) -> Tensor:
        """Return what all ranks have found for their own rows [m·G/N, …], in the sample's order [m·G, …]."""
        share = self.num_samples // self.ranks.size
        found = self.ranks.gather(own.detach())
        copies = found.view(self.ranks.size, -1, share, *own.shape[1:])
        return copies.transpose(0, 1).flatten(0, 2)


def own_part(sample: Sample, ranks: Ranks, num_samples: int) -> Sample:
    """Return the rows of a sample of m·G architectures that this rank evaluates, those of each copy.

    Args:
        sample: the architectures.
        ranks: the processes.
        num_samples: G.
    """
    if ranks.size == 1:
        return sample
    rows = (
        torch.arange(len(sample))
        .view(-1, ranks.size, num_samples // ranks.size)[:, ranks.rank]
        .flatten()
    )
    return Sample(sample.layout, tuple(group[rows] for group in sample.groups), sample.is_hard)


class _Evaluation(torch.autograd.Function):
    """The shared cost of relaxed architectures; its gradients are gathered like its values."""

    @staticmethod
    def forward(ctx: Any, shared: SharedCost, sample: Sample, *groups: Tensor) -> Tensor:  # noqa: ARG004  autograd's
        own = own_part(sample.detach(), shared.ranks, shared.num_samples)
        ctx.shared, ctx.own = shared, own
        with torch.enable_grad():
            for group in own.groups:
                group.requires_grad_()
            ctx.costs = shared.cost(own)
        return shared.all_rows(ctx.costs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        shared: SharedCost = ctx.shared
        rows = gradient.view(-1, shared.ranks.size, shared.num_samples // shared.ranks.size)[
            :, shared.ranks.rank
        ]
        # The graph stays: the weights' gradient goes through it too.
        found = torch.autograd.grad(ctx.costs, ctx.own.groups, rows.flatten(), retain_graph=True)
        together = shared.all_rows(torch.cat([each.flatten(1) for each in found], 1))
        parts = torch.split(together, [each[0].numel() for each in found], 1)
        return (
            None,
            None,
            *(part.view(-1, *each.shape[1:]) for part, each in zip(parts, found, strict=True)),
        )
