"""A node of a DARTS cell as numbers: the structures of node.c, and what of them never changes.

Each member of a structure has eight bytes, so that an operation is a row of integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from unas.nn.ops import DilatedConv, FactorizedReduce, ReLUConvBN, SeparableConv

LANES = 16  # of node.c
_IDENTITY, _SEPARABLE, _DILATED, _POINTWISE, _REDUCE, _MAX_POOL, _AVERAGE_POOL = range(7)

# The members of the structures in node.c.
PARAMETERS = ("depthwise", "pointwise", "gain", "shift")
BUFFERS = ("running_mean", "running_variance", "outcome", "sums", "moments", "slope_sums")
_GRADIENTS = ("depthwise_gradient", "pointwise_gradient", "gain_gradient", "shift_gradient")
STAGE = (*PARAMETERS, *BUFFERS, *_GRADIENTS)
_SIZES = ("kind", "state", "channels", "kernel", "stride", "dilation", "num_stages")
OPERATION = (*_SIZES, "rows", "num_rows", "column", "owner", "input_gradient")
NODE = (
    *("batch", "channels", "padded", "height", "width"),
    *("num_states", "num_operations", "num_columns", "threads"),
    *("by_operation", "wants_parameters", "gradient_size"),
    *("states", "state_gradients", "state_sizes", "weights", "weight_gradients"),
    *("out", "gradient", "gradient_sums", "gradients", "operations"),
)
COLUMN = {name: number for number, name in enumerate(OPERATION)}
COLUMN_OF_NODE = {name: number for number, name in enumerate(NODE)}
_WIDTH = len(OPERATION) + 2 * len(STAGE)

Table = npt.NDArray[np.int64]


def stage_column(stage: int, name: str) -> int:
    """Return the column of a stage's member in an operation's row."""
    return len(OPERATION) + stage * len(STAGE) + STAGE.index(name)


class NodeParameter(NamedTuple):
    """Where a parameter of an operation is, and the column that its address is written to."""

    column: int
    module: nn.Module
    name: str

    @property
    def tensor(self) -> Tensor | None:
        """The parameter as it is now."""
        return self.module._parameters[self.name]


class NodeOperation:
    """What node.c has to know of an operation: its numbers, its parameters and its BatchNorms."""

    def __init__(self, state: int, channels: int, operation: nn.Module) -> None:
        self.row = np.zeros(_WIDTH, np.int64)
        self._set(state=state, channels=channels, kernel=1, stride=1)
        self.parameters: list[NodeParameter] = []
        self.norms: list[nn.BatchNorm2d] = []
        match operation:
            case nn.Identity():
                self._set(kind=_IDENTITY)
            case nn.MaxPool2d():
                self._set(kind=_MAX_POOL, stride=cast("int", operation.stride))
            case nn.AvgPool2d():
                self._set(kind=_AVERAGE_POOL, stride=cast("int", operation.stride))
            case ReLUConvBN():
                self._set(kind=_POINTWISE, num_stages=1)
                self._add_parameter(0, "pointwise", operation[1])
                self._add_norm(0, cast("nn.BatchNorm2d", operation[2]))
            case FactorizedReduce():
                self._set(kind=_REDUCE, stride=2, num_stages=1)
                self._add_parameter(0, "pointwise", operation.even)
                self._add_parameter(1, "pointwise", operation.odd)
                self._add_norm(0, operation.bn)
            case DilatedConv():
                self._add_stages(_DILATED, operation)
            case SeparableConv():
                self._add_stages(_SEPARABLE, operation)
            case _:
                raise TypeError(f"node.c has no {type(operation).__name__}")

    def _set(self, **sizes: int) -> None:
        for name, value in sizes.items():
            self.row[COLUMN[name]] = value

    def _add_stages(self, kind: int, operation: nn.Sequential) -> None:
        layers: list[Any] = list(operation)
        depthwise = layers[1]
        self._set(
            kind=kind,
            kernel=depthwise.kernel_size[0],
            stride=depthwise.stride[0],
            dilation=depthwise.dilation[0],
            num_stages=len(layers) // 4,
        )
        for stage in range(len(layers) // 4):
            _, depthwise, pointwise, norm = layers[4 * stage : 4 * stage + 4]
            self._add_parameter(stage, "depthwise", depthwise)
            self._add_parameter(stage, "pointwise", pointwise)
            self._add_norm(stage, norm)

    def _add_parameter(
        self, stage: int, member: str, module: nn.Module, name: str = "weight"
    ) -> None:
        self.parameters.append(NodeParameter(stage_column(stage, member), module, name))

    def _add_norm(self, stage: int, norm: nn.BatchNorm2d) -> None:
        self.norms.append(norm)
        if norm.affine:
            self._add_parameter(stage, "gain", norm)
            self._add_parameter(stage, "shift", norm, "bias")


class NodeTable:
    """What node.c has to know of a node, whatever its images are.

    Args:
        operations: the state of each operation and the operation, by the weights' columns.
        channels: C, of the node.
        stride_of: the stride of operations on each state.
        channels_in: those of the states.

    Attributes:
        padded: C, rounded up to whole vectors.
        rows: a row of numbers for each operation.
        norms: the BatchNorms of all operations.
        is_uniform: they are all of one kind, and of one that node.c knows.
    """

    def __init__(
        self,
        operations: Sequence[tuple[int, nn.Module]],
        channels: int,
        stride_of: Sequence[int],
        channels_in: int,
    ) -> None:
        self.channels = channels
        self.padded = -(-channels // LANES) * LANES
        self.stride_of = tuple(stride_of)
        self.operations = [NodeOperation(j, channels_in, operation) for j, operation in operations]
        self.rows = np.stack([operation.row for operation in self.operations])
        self.rows[:, COLUMN["column"]] = np.arange(len(operations))
        self.norms = [norm for operation in self.operations for norm in operation.norms]
        kinds = {(norm.eps, norm.momentum, norm.track_running_stats) for norm in self.norms}
        self.eps, self.momentum, tracks = kinds.pop() if kinds else (0.0, None, False)
        # Without a momentum, running statistics are means of all batches.
        self.is_uniform = not kinds and not (tracks and self.momentum is None)

    @property
    def has_norms_as_built(self) -> bool:
        """Whether all BatchNorms still have the eps and momentum that node.c is told."""
        eps, momentum = self.eps, self.momentum
        return all(norm.eps == eps and norm.momentum == momentum for norm in self.norms)

    def is_of(self, dtype: torch.dtype) -> bool:
        """Return whether all parameters and running statistics are of a type."""
        parameters = (each.tensor for each in self.every_parameter())
        statistics = (each for norm in self.norms for each in (norm.running_mean, norm.running_var))
        tensors = (*parameters, *statistics)
        return all(tensor is None or tensor.dtype == dtype for tensor in tensors)

    @property
    def has_plain_parameters(self) -> bool:
        """Whether each weight is a parameter; one that is parametrised or pruned is computed."""
        return all(each.name in each.module._parameters for each in self.every_parameter())

    def every_parameter(self) -> Iterator[NodeParameter]:
        """Yield the parameters of all operations."""
        for operation in self.operations:
            yield from operation.parameters
