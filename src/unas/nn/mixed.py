"""How choices execute: a weighted sum of all their branches, or only of those that were picked.

A branch is one operation on one input. This is the only place that knows the two ways, so every
space, the DARTS node and the choices of any other model run on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor
from torch.autograd.function import once_differentiable

from unas.nn.weight_path import weight_path

BatchNormRows = Literal["batch", "routed"]
Branch = Callable[[Tensor | None], Tensor]
"""Maps None to the outcome [B, …] for all images, or row indices [R] to that of these, [R, …].

Whether rows are taken before the operation runs or after it is the branch's business.
"""
Routes = Mapping[int, list[int] | None]
"""The images that go through each branch that was picked; None where all of them do."""
PiecesOf = Callable[[int, Sequence[int]], Sequence[Tensor]]
"""Maps an option and the numbers of architectures to its outcome for each one's images."""


class _Mixture(torch.autograd.Function):
    """Σ_e weights[:, e]·outcome_e, differentiable in the outcomes alone; they are never stacked."""

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
        outcome_gradients: list[Tensor | None] = []
        for e, is_needed in enumerate(ctx.needs_input_grad[1:]):
            scaled = gradient * weights[:, e].view(shape) if is_needed else None
            outcome_gradients.append(scaled)
        return None, *outcome_gradients


def _weight_gradient(gradient: Tensor, *outcomes: Tensor) -> Tensor:
    """Return ⟨gradient, outcome⟩ of each image and outcome, [B, E]."""
    flat = flatten(gradient).unsqueeze(1)
    columns = []
    for outcome in outcomes:
        column = torch.bmm(flat, flatten(outcome).to(flat.dtype).unsqueeze(2))
        columns.append(column.view(-1))
    return torch.stack(columns, 1)


def flatten(images: Float[Tensor, " images *shape"]) -> Float[Tensor, "images values"]:
    """View [B, …] as [B, N], channels last where they are images: rows are then whole blocks."""
    if images.dim() == 4:
        images = images.permute(0, 2, 3, 1)
    return images.flatten(1)


def unflatten(rows: Tensor, shape: torch.Size) -> Tensor:
    """View [B, N] as [B, *shape]: what `flatten` made of it, undone."""
    if len(shape) != 3:
        return rows.view(-1, *shape)
    channels, height, width = shape
    return rows.view(-1, height, width, channels).permute(0, 3, 1, 2)


def take(
    images: Float[Tensor, " images *shape"], rows: Int[Tensor, " rows"]
) -> Float[Tensor, " rows *shape"]:
    """Return the images [R, …] with these indices."""
    return unflatten(flatten(images).index_select(0, rows), images.shape[1:])


def weighted_sum(
    weights: Float[Tensor, "images branches"], outcomes: Sequence[Float[Tensor, " images *shape"]]
) -> Float[Tensor, " images *shape"]:
    """Return Σ_e weights[:, e]·outcomes[e].

    Args:
        weights: [B, E].
        outcomes: E tensors [B, …] of one shape and memory format.
    """
    total: Tensor = _Mixture.apply(weights.detach(), *outcomes)
    if weights.requires_grad:
        constants = [outcome.detach() for outcome in outcomes]
        total = total + weight_path(weights, constants[0], _weight_gradient, *constants)
    return total


def spread(
    weights: Float[Tensor, " architectures *options"], batch: int
) -> Float[Tensor, " {batch} *options"]:
    """Return the weights [B, …] of the images from those of their architectures, [G, …].

    Raises:
        ValueError: G does not divide B.
    """
    share = _images_each(batch, weights.shape[0])
    return weights if share == 1 else weights.repeat_interleave(share, 0)


def _images_each(batch: int, architectures: int) -> int:
    if batch % architectures:
        raise ValueError(f"{architectures} architectures do not divide a batch of {batch} images")
    return batch // architectures


def routes(picks: Sequence[Sequence[int]], batch: int) -> Routes:
    """Return the images that go through each branch that was picked, branches in order.

    Args:
        picks: for each architecture, the branches it picked; several may be the same.
        batch: B; architecture g serves the g-th run of B/G images.
    """
    share = batch // len(picks)
    rows_of: dict[int, list[int]] = {}
    for g, picked in enumerate(picks):
        for e in sorted(set(picked)):
            rows_of.setdefault(e, []).extend(range(g * share, (g + 1) * share))
    return {e: None if len(rows) == batch else rows for e, rows in sorted(rows_of.items())}


def routed_sum(
    weights: Float[Tensor, "images branches"], branches: Sequence[Branch], rows_of: Routes
) -> Float[Tensor, " images *shape"]:
    """Return Σ_e weights[:, e]·branch_e, running for each branch only the images that picked it.

    Args:
        weights: [B, E], zero wherever an image isn't routed to a branch.
        branches: E of them; only those in `rows_of` are called.
        rows_of: what `routes` returned.
    """
    total: Tensor | None = None
    shape = torch.Size()
    for e, indices in rows_of.items():
        rows = None
        if indices is not None:
            rows = torch.tensor(indices).to(weights.device, non_blocking=True)
        outcome = branches[e](rows)
        shape = outcome.shape[1:]
        factor = weights[:, e] if rows is None else weights[rows, e]
        term = flatten(outcome) * factor[:, None]
        if total is None:
            total = term.new_zeros(weights.shape[0], term.shape[1])
        total = total + term if rows is None else total.index_add(0, rows, term)
    assert total is not None  # noqa: S101  every image picked something
    return unflatten(total, shape)


def pieces_by_architecture(
    images: Shaped[Tensor, " images *shape"], architectures: int
) -> tuple[Tensor, ...]:
    """View the images [B, …] as those of each of G architectures, [B/G, …].

    Raises:
        ValueError: G does not divide B.
    """
    return torch.split(images, _images_each(images.shape[0], architectures))


def picked_pieces(picks: Sequence[int], pieces_of: PiecesOf) -> Float[Tensor, " images *shape"]:
    """Return what each architecture's pick makes of its images, [B, …], as a copy.

    The images of an architecture follow on each other, so pieces are joined and nothing is
    gathered, forward or backward.

    Args:
        picks: the option that each of G architectures picked.
        pieces_of: called once for each option that was picked, in their order.
    """
    owners: dict[int, list[int]] = {}
    for g, option in enumerate(picks):
        owners.setdefault(option, []).append(g)
    pieces: dict[int, Tensor] = {}
    for option, architectures in sorted(owners.items()):
        outcomes = pieces_of(option, architectures)
        pieces.update(zip(architectures, outcomes, strict=True))
    return torch.cat([pieces[g] for g in range(len(picks))])


def mix(
    weights: Float[Tensor, "images branches"], branches: Sequence[Branch], rows_of: Routes | None
) -> Float[Tensor, " images *shape"]:
    """Return Σ_e weights[:, e]·branch_e of all branches, or of those that were picked."""
    if rows_of is None:
        return weighted_sum(weights, [branch(None) for branch in branches])
    return routed_sum(weights, branches, rows_of)


def has_batch_norm(operation: torch.nn.Module) -> bool:
    """Return whether an image's outcome depends on the other images of the batch."""
    kind = torch.nn.modules.batchnorm._BatchNorm
    return any(isinstance(module, kind) for module in operation.modules())
