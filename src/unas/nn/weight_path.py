"""A gradient of its own for the weights of an outcome, computed only where somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Zero(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, _weight: Tensor, like: Tensor, gradient_of: Callable[..., Tensor], *saved: Tensor
    ) -> Tensor:
        ctx.save_for_backward(*saved)
        ctx.gradient_of = gradient_of
        return like.new_zeros(()).expand_as(like)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        weight_gradient = ctx.gradient_of(gradient, *saved)
        return weight_gradient, None, None, *(None for _ in saved)


def weight_path(
    weight: Tensor, like: Tensor, gradient_of: Callable[..., Tensor], *saved: Tensor
) -> Tensor:
    """Return zero; adding it to an outcome makes that differentiable in `weight` too.

    Autograd leaves out whole nodes that nobody asks for, but tells a Python node nothing about
    which of its gradients are wanted. The policy's backward must not pay for the gradients of the
    network's weights, nor theirs for the policy's: so each kind of weight has a node of its own.

    Args:
        weight: in which the outcome is constant so far.
        like: a constant with the outcome's shape; its type is that of the gradient that arrives.
        gradient_of: maps the outcome's gradient and `saved` to the gradient of `weight`.
        saved: constants.
    """
    zero: Tensor = _Zero.apply(weight, like, gradient_of, *saved)
    return zero
