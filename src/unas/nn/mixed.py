"""How choices execute: a weighted sum of all candidates, or only those that were picked.

A candidate is one operation on one input. This is the only place that knows the two ways, so every
space, the DARTS node and the choices of any other model run on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BatchNormRows = Literal["batch", "routed"]
Candidate = Callable[[Tensor | None], Tensor]
"""Maps None to the outcome [B, …] for the whole batch, or row indices [R] to that of these images [R, …].

Whether rows are taken before the operation runs or after it is the candidate's business.
"""


class _Mixture(torch.autograd.Function):
    """Σ_e weights[:, e]·outcome_e without a stacked copy of the outcomes, differentiable in the outcomes alone."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, *outcomes: Tensor) -> Tensor:
        ctx.save_for_backward(weights)
        shape = (-1,) + (1,) * (outcomes[0].dim() - 1)
        total = outcomes[0] * weights[:, 0].view(shape)
        for e, outcome in enumerate(outcomes[1:], 1):
            total.addcmul_(outcome, weights[:, e].view(shape))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (weights,) = ctx.saved_tensors
        shape = (-1,) + (1,) * (gradient.dim() - 1)
        needed = enumerate(ctx.needs_input_grad[1:])
        return None, *(
            gradient * weights[:, e].view(shape) if is_needed else None for e, is_needed in needed
        )


class _WeightPath(torch.autograd.Function):
    """Zero in value; adding it to a mixture makes that differentiable in the weights.

    A node of its own, since autograd leaves out whole nodes that nobody asks for, but tells a
    Python node nothing about which of its gradients are wanted: the supernet's backward must not
    pay for the policy's gradients.
    """

    @staticmethod
    def forward(ctx: Any, weights: Tensor, *outcomes: Tensor) -> Tensor:
        ctx.save_for_backward(*outcomes)
        return weights.new_zeros((), dtype=outcomes[0].dtype).expand_as(outcomes[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        flat = flatten(gradient).unsqueeze(1)
        columns = [
            torch.bmm(flat, flatten(outcome).to(flat.dtype).unsqueeze(2)).view(-1)
            for outcome in ctx.saved_tensors
        ]
        return torch.stack(columns, 1), *(None for _ in columns)


def flatten(images: Tensor) -> Tensor:
    """View [B, …] as [B, N], channels last where they are images: rows can then be taken and added as whole blocks."""
    return (images.permute(0, 2, 3, 1) if images.dim() == 4 else images).flatten(1)


def unflatten(rows: Tensor, shape: torch.Size) -> Tensor:
    """View [B, N] as [B, *shape]: what `flatten` made of it, undone."""
    if len(shape) != 3:
        return rows.view(-1, *shape)
    channels, height, width = shape
    return rows.view(-1, height, width, channels).permute(0, 3, 1, 2)


def take(images: Tensor, rows: Tensor) -> Tensor:
    """Return the images [R, …] with these indices."""
    return unflatten(flatten(images).index_select(0, rows), images.shape[1:])


def weighted_sum(weights: Tensor, outcomes: Sequence[Tensor]) -> Tensor:
    """Return Σ_e weights[:, e]·outcomes[e].

    Args:
        weights: [B, E].
        outcomes: E tensors [B, …] of one shape and memory format.
    """
    total: Tensor = _Mixture.apply(weights.detach(), *outcomes)
    if weights.requires_grad:
        total = total + _WeightPath.apply(weights, *(outcome.detach() for outcome in outcomes))
    return total


def spread(weights: Tensor, batch: int) -> Tensor:
    """Return the weights [B, …] of the images from those of their architectures [G, …]; G divides B.

    Raises:
        ValueError: it does not.
    """
    if batch % weights.shape[0]:
        raise ValueError(
            f"{weights.shape[0]} architectures do not divide a batch of {batch} images"
        )
    return (
        weights
        if weights.shape[0] == batch
        else weights.repeat_interleave(batch // weights.shape[0], 0)
    )


def routes(picks: Sequence[Sequence[int]], batch: int) -> dict[int, list[int] | None]:
    """Return for each picked candidate the images that go through it, None where all of them do.

    Args:
        picks: for each architecture, the candidates it picked; several may be the same.
        batch: B; architecture g serves the g-th run of B/G images.
    """
    share = batch // len(picks)
    found: dict[int, list[int]] = {}
    for g, picked in enumerate(picks):
        for e in sorted(set(picked)):
            found.setdefault(e, []).extend(range(g * share, (g + 1) * share))
    return {e: None if len(rows) == batch else rows for e, rows in sorted(found.items())}


def routed_sum(
    weights: Tensor, candidates: Sequence[Candidate], rows_of: dict[int, list[int] | None]
) -> Tensor:
    """Return Σ_e weights[:, e]·candidate_e, running for each candidate only the images that picked it.

    Args:
        weights: [B, E], zero wherever an image isn't routed to a candidate.
        candidates: E of them; only those in `rows_of` are called.
        rows_of: what `routes` returned.
    """
    total, shape = None, None
    for e, listed in rows_of.items():
        rows = None if listed is None else torch.tensor(listed, device=weights.device)
        outcome = candidates[e](rows)
        factor = weights[:, e] if rows is None else weights[rows, e]
        term = flatten(outcome) * factor[:, None]
        if total is None:
            total, shape = term.new_zeros(weights.shape[0], term.shape[1]), outcome.shape[1:]
        total = total + term if rows is None else total.index_add(0, rows, term)
    assert total is not None and shape is not None  # noqa: S101, PT018 - every image picked something
    return unflatten(total, shape)


def mix(
    weights: Tensor, candidates: Sequence[Candidate], rows_of: dict[int, list[int] | None] | None
) -> Tensor:
    """Return Σ_e weights[:, e]·candidate_e: of all candidates (`rows_of` is None), or only where they were picked."""
    if rows_of is None:
        return weighted_sum(weights, [candidate(None) for candidate in candidates])
    return routed_sum(weights, candidates, rows_of)


def has_batch_norm(operation: torch.nn.Module) -> bool:
    """Return whether an image's outcome depends on the other images of the batch."""
    return any(
        isinstance(module, torch.nn.modules.batchnorm._BatchNorm) for module in operation.modules()
    )
