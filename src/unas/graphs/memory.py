"""Peak activation memory: what a device needs beside the weights, by one definition for modules and ONNX graphs.

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
        inputs: the activations that it reads.
        outputs: those that it makes.
        is_elementwise: it can write over an input of the output's size.
        is_view: its output is its first input.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    is_elementwise: bool = False
    is_view: bool = False


def peak_memory(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Return the peak activation memory of a network in evaluation mode, in bytes; see the module for what it is.

    Args:
        network: maps images [1, C, H, W] to anything, on any device ("meta" costs nothing); it is
            left as it is.
        image_shape: (C, H, W).

    Raises:
        UserError: the shape is not three positive numbers.
    """
    recording = record(network, image_shape)
    sizes = [BYTES_OF_A_FLOAT * math.prod(shape) for shape in recording.shapes]
    return peak_bytes(
        sizes, [_step(operator) for operator in recording.operators], recording.results
    )


def peak_bytes(
    sizes: Sequence[int],
    steps: Sequence[Step],
    results: Sequence[int],
    images: Sequence[int] = (0,),
) -> int:
    """Return the largest sum of the sizes of the activations that live at one time.

    Args:
        sizes: of each activation, in bytes.
        steps: the operators in their order.
        results: the activations that are returned.
        images: those that are there at the beginning.
    """
    home = _homes(sizes, steps)
    last = {home[index]: position for position, step in enumerate(steps) for index in step.inputs}
    last |= {home[index]: len(steps) for index in results}
    live = set(images)
    peak = sum(sizes[index] for index in live)
    for position, step in enumerate(steps):
        made = {
            home[index] for index in step.outputs if home[index] in last
        }  # what nobody reads isn't kept
        reused: set[int] = set()
        if step.is_elementwise and len(made) == 1:
            (output,) = made
            dying = [
                home[i]
                for i in step.inputs
                if last[home[i]] == position and sizes[home[i]] == sizes[output]
            ]
            reused = set(dying[:1]) - {output}
        live |= made
        peak = max(peak, sum(sizes[index] for index in live - reused))
        live = {index for index in live if last.get(index, -1) > position}
    return peak


def _homes(sizes: Sequence[int], steps: Sequence[Step]) -> list[int]:
    """Return for each activation the one whose memory it is in: itself, unless it is a view."""
    home = list(range(len(sizes)))
    for step in steps:
        if step.is_view:
            for output in step.outputs:
                home[output] = home[step.inputs[0]]
    return home


def _step(operator: Operator) -> Step:
    name = operator.kind.overloadpacket.__name__
    is_elementwise = torch.Tag.pointwise in operator.kind.tags or "batch_norm" in name
    return Step(operator.inputs, operator.outputs, is_elementwise, name in _VIEWS)
