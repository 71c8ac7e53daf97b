"""Peak activation memory: what a device needs beside the weights, of modules and ONNX graphs.

An activation is a float32 tensor that depends on the image. It lives from the operator that makes
it until the last one that uses it, the image from the beginning and results to the end; while an
operator runs, what it reads and what it writes live together. An elementwise operator (with
BatchNorm) writes over an input of its size that nothing uses later; a view takes nothing. The peak
is the largest sum of what lives at one time, for one image, in the order of the graph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from unas.graphs.operators import Operator, record

BYTES_OF_A_FLOAT = 4
# PyTorch operators whose result lies where their input lies.
_VIEWS = frozenset(
    {
        "view",
        "_unsafe_view",
        "_reshape_alias",
        "unsqueeze",
        "squeeze",
        "detach",
        "alias",
        "lift_fresh",
        "flatten",
    }
)


@dataclass(frozen=True)
class Step:
    """An operator as memory sees it.

    Args:
        inputs: indices of the activations that it reads.
        outputs: indices of the activations that it makes.
        is_elementwise: whether it can write over an input of the output's size.
        is_view: whether its output lies in the memory of its first input.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    is_elementwise: bool = False
    is_view: bool = False


def peak_memory(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Return the peak activation memory of a network in evaluation mode, in bytes.

    Args:
        network: maps images [1, C, H, W] to anything, on any device ("meta" costs nothing); it is
            left as it is.
        image_shape: (C, H, W).

    Raises:
        UserError: the shape is not three positive numbers.
    """
    recording = record(network, image_shape)
    sizes = [BYTES_OF_A_FLOAT * math.prod(shape) for shape in recording.shapes]
    steps = [_step(operator) for operator in recording.operators]
    return peak_bytes(sizes, steps, recording.results)


def peak_bytes(
    sizes: Sequence[int],
    steps: Sequence[Step],
    results: Sequence[int],
    images: Sequence[int] = (0,),
) -> int:
    """Return the largest sum of the sizes of the activations that live at one time.

    Args:
        sizes: bytes of each activation.
        steps: the operators in their order.
        results: indices of the activations that are returned.
        images: indices of the activations that are there at the beginning.
    """
    memory_of = _memory_of(len(sizes), steps)
    last_use = _last_uses(memory_of, steps, results)
    live = set(images)
    peak = sum(sizes[index] for index in live)
    for position, step in enumerate(steps):
        # What nobody reads isn't kept.
        written = {memory_of[index] for index in step.outputs if memory_of[index] in last_use}
        overwritten: set[int] = set()
        if step.is_elementwise and len(written) == 1:
            (output,) = written
            inputs = [memory_of[index] for index in step.inputs]
            dying = [i for i in inputs if last_use[i] == position and sizes[i] == sizes[output]]
            overwritten = set(dying[:1]) - {output}
        live |= written
        peak = max(peak, sum(sizes[index] for index in live - overwritten))
        live = {index for index in live if last_use.get(index, -1) > position}
    return peak


def _memory_of(count: int, steps: Sequence[Step]) -> list[int]:
    """Return for each activation the one whose memory it lies in: itself, unless it is a view."""
    memory_of = list(range(count))
    for step in steps:
        if step.is_view:
            for output in step.outputs:
                memory_of[output] = memory_of[step.inputs[0]]
    return memory_of


def _last_uses(
    memory_of: Sequence[int], steps: Sequence[Step], results: Sequence[int]
) -> dict[int, int]:
    """Return the position of the last step that reads each memory; results are read at the end."""
    last_use = {}
    for position, step in enumerate(steps):
        for index in step.inputs:
            last_use[memory_of[index]] = position
    for index in results:
        last_use[memory_of[index]] = len(steps)
    return last_use


def _step(operator: Operator) -> Step:
    is_elementwise = torch.Tag.pointwise in operator.kind.tags or "batch_norm" in operator.name
    return Step(operator.inputs, operator.outputs, is_elementwise, operator.name in _VIEWS)
