"""Which gradients a backward that is running asks a node of our own for.

Autograd leaves out whole nodes that nobody asks for, but tells a Python node nothing about which of
its gradients are wanted. The policy's backward must not pay for the gradients of the network's
weights, nor theirs for the policy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class _Probe(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, *_parameters: Tensor) -> Tensor:
        return torch.empty(0)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[None, ...]:
        return (None,) * len(ctx.needs_input_grad)


def probe(parameters: Sequence[Tensor]) -> Tensor:
    """Return what stands for all these parameters among a node's inputs.

    Whether it is reached says whether they are wanted: a leaf can't be asked.
    """
    stand_in: Tensor = _Probe.apply(*parameters)
    return stand_in


def askable(tensor: Tensor) -> Tensor:
    """Return the tensor, or a view of it if it is a leaf, which can't be asked."""
    return tensor.view_as(tensor) if tensor.requires_grad and tensor.is_leaf else tensor


def is_reached(node: Any) -> bool:
    """Return whether the backward that is running goes on to a node of the graph."""
    return node is not None and bool(torch._C._will_engine_execute_node(node))
