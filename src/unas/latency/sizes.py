"""How large the operators of a network are together, which is what their cost should follow."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from unas.graphs.operators import Operator, record

Array = npt.NDArray[np.float64]

NUM_SIZES = 5


def sizes_of(network: nn.Module, image_shape: tuple[int, int, int]) -> Array:
    """Return five sums over the operators that a network runs for one image.

    They are the number of operators, the values that they write, the weights that they read, and
    the multiply-adds of dense and of grouped convolutions.

    Args:
        network: any network; it is left as it is.
        image_shape: (C, H, W).
    """
    recording = record(network, image_shape)
    total = np.zeros(NUM_SIZES)
    for operator in recording.operators:
        total += _sizes(operator, recording.shapes)
    return total


def _sizes(operator: Operator, shapes: list[tuple[int, ...]]) -> tuple[float, ...]:
    written = math.prod(shapes[operator.outputs[0]]) if operator.outputs else 0
    weights = [value for value in operator.arguments if isinstance(value, Tensor)]
    read = sum(weight.numel() for weight in weights)
    dense = grouped = 0
    if operator.name == "convolution" and weights:
        macs = written * weights[0][0].numel()
        is_grouped = operator.arguments[8] > 1
        if is_grouped:
            grouped = macs
        else:
            dense = macs
    return 1, written, read, dense, grouped
