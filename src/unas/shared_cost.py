"""A cost that several processes evaluate together, each the architectures of its own images.

Every rank draws the noise of all G architectures, which is one stream, and evaluates its own G/N of them. What the
estimator gets is all costs and, differentiating them, the gradients in all samples. It therefore computes the same on
every rank and as one process would: the policy's gradient needs no reduction, and whatever an estimator remembers is
the same everywhere, for any number of ranks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unas.distributed import Ranks
from unas.estimators import Cost
from unas.policy import Sample


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
    rows = torch.arange(len(sample)).view(-1, ranks.size, num_samples // ranks.size)[:, ranks.rank].flatten()
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
        rows = gradient.view(-1, shared.ranks.size, shared.num_samples // shared.ranks.size)[:, shared.ranks.rank]
        # The graph stays: the weights' gradient goes through it too.
        found = torch.autograd.grad(ctx.costs, ctx.own.groups, rows.flatten(), retain_graph=True)
        together = shared.all_rows(torch.cat([each.flatten(1) for each in found], 1))
        parts = torch.split(together, [each[0].numel() for each in found], 1)
        return None, None, *(part.view(-1, *each.shape[1:]) for part, each in zip(parts, found, strict=True))
