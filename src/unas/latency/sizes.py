"""How large the operators of a network are together: what an operator's cost is expected to follow."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from unas.graphs.operators import Operator, record

Array = npt.NDArray[np.float64]

NUM_SIZES = 5


def sizes_of(network: nn.Module, image_shape: tuple[int, int, int]) -> Array:
    """Return sums over all operators: their number, values written, weights read, dense and depthwise multiply-adds."""
    recording = record(network, image_shape)
    rows = [_sizes(operator, recording.shapes) for operator in recording.operators]
    return np.asarray(np.sum(rows, axis=0, dtype=np.float64)) if rows else np.zeros(NUM_SIZES)


def _sizes(operator: Operator, shapes: list[tuple[int, ...]]) -> tuple[float, ...]:
    written = math.prod(shapes[operator.outputs[0]]) if operator.outputs else 0
    weights = [value for value in operator.arguments if isinstance(value, Tensor)]
    dense = depthwise = 0.0
    if operator.kind.overloadpacket.__name__ == "convolution" and weights:
        macs = written * weights[0][0].numel()
        dense, depthwise = (0.0, macs) if operator.arguments[8] > 1 else (macs, 0.0)
    return (
        1.0,
        float(written),
        float(sum(weight.numel() for weight in weights)),
        float(dense),
        float(depthwise),
    )
