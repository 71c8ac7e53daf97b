"""One sample of architectures, evaluated by many processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unas.architecture.policy import Sample
from unas.compute.ranks import Ranks
from unas.estimators import Cost


class SharedCost:
    """The costs of a sample of m·G architectures, of which each of N ranks evaluates m·G/N.

    Args:
        cost: maps a sample of m·G/N architectures to their costs [m·G/N], on the host.
        ranks: the processes; N of them.
        num_samples: G, a multiple of N.
    """

    def __init__(self, cost: Cost, ranks: Ranks, num_samples: int) -> None:
        self.cost = cost
        self.ranks = ranks
        self.num_samples = num_samples

    def __call__(self, sample: Sample) -> Tensor:
        """Return the cost of each architecture, [m·G]; differentiable once."""
        if self.ranks.size == 1:
            return self.cost(sample)
        if torch.is_grad_enabled() and any(group.requires_grad for group in sample.groups):
            costs: Tensor = _SharedEvaluation.apply(self, sample, *sample.groups)
            return costs
        return self.all_rows(self.cost(own_part(sample, self.ranks, self.num_samples)))

    def all_rows(self, own: Tensor) -> Tensor:
        """Return the rows [m·G/N, …] of all ranks, in the sample's order [m·G, …]."""
        share = self.num_samples // self.ranks.size
        gathered = self.ranks.gather(own.detach())
        copies = gathered.view(self.ranks.size, -1, share, *own.shape[1:])
        return copies.transpose(0, 1).flatten(0, 2)


def own_part(sample: Sample, ranks: Ranks, num_samples: int) -> Sample:
    """Return the rows of a sample of m·G architectures that this rank evaluates, of every copy.

    Args:
        sample: the architectures.
        ranks: the processes.
        num_samples: G.
    """
    if ranks.size == 1:
        return sample
    by_rank = torch.arange(len(sample)).view(-1, ranks.size, num_samples // ranks.size)
    return sample.select(by_rank[:, ranks.rank].flatten().tolist())


class _SharedEvaluation(torch.autograd.Function):
    """The shared cost of relaxed architectures; its gradients are gathered like its values."""

    @staticmethod
    def forward(ctx: Any, shared: SharedCost, sample: Sample, *groups: Tensor) -> Tensor:  # noqa: ARG004  autograd's
        own = own_part(sample.detach(), shared.ranks, shared.num_samples)
        with torch.enable_grad():
            for group in own.groups:
                group.requires_grad_()
            costs = shared.cost(own)
        ctx.shared = shared
        ctx.own = own
        ctx.costs = costs
        return shared.all_rows(costs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        shared: SharedCost = ctx.shared
        share = shared.num_samples // shared.ranks.size
        rows = gradient.view(-1, shared.ranks.size, share)[:, shared.ranks.rank]
        # The graph stays: the weights' gradient goes through it too.
        own = torch.autograd.grad(ctx.costs, ctx.own.groups, rows.flatten(), retain_graph=True)
        # All groups travel as one tensor, [m·G/N, D] to [m·G, D].
        gathered = shared.all_rows(torch.cat([group.flatten(1) for group in own], 1))
        columns = torch.split(gathered, [group[0].numel() for group in own], 1)
        groups = [part.view(-1, *group.shape[1:]) for part, group in zip(columns, own, strict=True)]
        return None, None, *groups
