"""Parts of a supernet that are computed again in the backward, for a step that has little memory.

A step keeps what every operation made of every image until the backward comes. A part that is
computed again keeps its inputs alone, and gives the same numbers (Chen et al. 2016, "Training deep
nets with sublinear memory cost").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from unas.nn.wanted import askable, is_reached, probe

# Maps the inputs of a part to its outcome.
Run = Callable[..., Tensor]


class Recomputable(nn.Module):
    """A part of a supernet that can be computed again in the backward.

    Attributes:
        recomputes: whether it is.
    """

    recomputes = False


def recompute_parts(supernet: nn.Module) -> bool:
    """Let the outermost parts of a supernet that can be computed again be so; return if any can."""
    if isinstance(supernet, Recomputable):
        supernet.recomputes = True
        return True
    parts = [recompute_parts(child) for child in supernet.children()]
    return any(parts)


def recomputed(part: nn.Module, run: Run, *inputs: Tensor) -> Tensor:
    """Return run(*inputs), which the backward computes again.

    For modules that keep what the backward needs outside of autograd's graph, as `NativeNode` does;
    for others there is `torch.utils.checkpoint`.

    Args:
        part: has all parameters that `run` uses.
        run: draws nothing at random and changes no buffer.
        inputs: all tensors that it uses beside those, at least one of them.
    """
    if not torch.is_grad_enabled():
        return run(*inputs)
    parameters = [parameter for parameter in part.parameters() if parameter.requires_grad]
    asked = [askable(tensor) for tensor in inputs]
    call = _Call(run, len(inputs), inputs[0].device)
    outcome: Tensor = _Recomputed.apply(call, probe(parameters), *asked, *parameters)
    return outcome


class BuffersRewound:
    """Runs a part again from the buffers that it had before, and leaves them as they are now.

    What a part counts of the images that it has seen (BatchNorm's statistics, the vectors of a
    spectral norm) is then counted once. The block may be entered once for each backward.

    Args:
        part: about to run for the first time.
    """

    def __init__(self, part: nn.Module) -> None:
        self._buffers = list(part.buffers())
        self._before = [buffer.clone() for buffer in self._buffers]
        self._now: list[Tensor] = []

    def __enter__(self) -> None:
        self._now = [buffer.clone() for buffer in self._buffers]
        self._set(self._before)

    def __exit__(self, *_: object) -> None:
        self._set(self._now)

    @torch.no_grad()
    def _set(self, values: Sequence[Tensor]) -> None:
        for buffer, value in zip(self._buffers, values, strict=True):
            buffer.copy_(value)


@dataclass
class _Call:
    """One run of a part: how to repeat it as it was."""

    run: Run
    num_inputs: int
    device: torch.device

    def __post_init__(self) -> None:
        kind = self.device.type
        self._autocast = (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))

    def repeated(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the outcome with its graph."""
        enabled, dtype = self._autocast
        with (
            torch.enable_grad(),
            torch.autocast(self.device.type, dtype=dtype, enabled=enabled),
        ):
            return self.run(*inputs)


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, call: _Call, _probe: Tensor, *tensors: Tensor) -> Tensor:
        ctx.call = call
        ctx.save_for_backward(*tensors)
        return call.run(*tensors[: call.num_inputs])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        call: _Call = ctx.call
        tensors = ctx.saved_tensors
        wants_parameters, *wants_inputs = [
            is_reached(node) for node, _ in ctx.next_functions[: 1 + call.num_inputs]
        ]
        inputs = []
        for tensor, is_wanted in zip(tensors[: call.num_inputs], wants_inputs, strict=True):
            inputs.append(tensor.detach().requires_grad_(is_wanted))
        parameters = tensors[call.num_inputs :]
        outcome = call.repeated(inputs)
        wants = wants_inputs + [wants_parameters] * len(parameters)
        wanted = [
            tensor
            for tensor, is_wanted in zip((*inputs, *parameters), wants, strict=True)
            if is_wanted
        ]
        found = iter(torch.autograd.grad(outcome, wanted, gradient, allow_unused=True))
        return None, None, *(next(found) if is_wanted else None for is_wanted in wants)
