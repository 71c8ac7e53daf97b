"""Two rules by which a network's operations are counted: products alone, or as UNAS published."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

from unas.graphs.operators import Operator, record
from unas.graphs.size import count_macs

Counting = Literal["products", "published"]
_RELUS = ("relu", "hardtanh")  # ReLU6 is a hardtanh
_SPATIAL = {2, 3}  # the dimensions of [B, C, H, W] that an image has


def count_by(counting: Counting, network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Return a network's operations for one image by a rule.

    Args:
        counting: "products": multiply-adds of convolutions and matrix products, as `count_macs`
            has them. "published": besides them one for each output of a ReLU, one for each input
            of a pooling, the global one included, and two for each input of an affine BatchNorm,
            which is what UNAS (section 4.1) holds below 600 million on ImageNet.
        network: maps images [B, C, H, W] to anything, on any device ("meta" costs nothing); it is
            left as it was.
        image_shape: (C, H, W).

    Raises:
        UserError: see `count_macs`.
    """
    products = count_macs(network, image_shape)
    if counting == "products":
        return products
    recording = record(network, image_shape)
    besides = [_besides(operator, recording.shapes) for operator in recording.operators]
    return products + sum(besides)


def _besides(operator: Operator, shapes: list[tuple[int, ...]]) -> int:
    """Return what the published rule adds to the multiply-adds for one operator."""
    if not operator.inputs:
        return 0
    values = math.prod(shapes[operator.inputs[0]])
    name = operator.name.rstrip("_")
    if name in _RELUS or "pool" in name or _is_global_pooling(operator, shapes):
        return values  # a ReLU has as many outputs as inputs
    if "batch_norm" in name and operator.arguments[1] is not None:
        return 2 * values
    return 0


def _is_global_pooling(operator: Operator, shapes: list[tuple[int, ...]]) -> bool:
    if operator.name != "mean" or len(shapes[operator.inputs[0]]) != 4:
        return False
    if len(operator.arguments) < 2 or operator.arguments[1] is None:
        return False  # of all values
    return {dimension % 4 for dimension in operator.arguments[1]} == _SPATIAL
