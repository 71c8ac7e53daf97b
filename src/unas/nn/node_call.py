"""One call of node.c: the memory that it works on, and the addresses of it all."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unas.nn.lease import Lease, lease
from unas.nn.mixed import Routes
from unas.nn.native import kernels_of, openmp
from unas.nn.node_table import (
    BUFFERS,
    COLUMN,
    COLUMN_OF_NODE,
    NODE,
    PARAMETERS,
    NodeTable,
    Table,
    stage_column,
)

GROUP = 7  # as in node.c
_MACROS: Mapping[torch.dtype, Sequence[str]] = {torch.float32: (), torch.float64: ("FLOAT64",)}
# From so many rows a thread on, threads share an operation's rows, and wait for each other.
_ROWS_TO_SHARE = 4


@cache
def kernels(dtype: torch.dtype = torch.float32) -> ctypes.CDLL | None:
    """Return node.c for numbers of a type, ready to run; None where it can't be had."""
    if dtype not in _MACROS:
        return None
    node_c = kernels_of("node", *_MACROS[dtype])
    if node_c is None:
        return None
    functions = openmp()
    if functions is None and torch.get_num_threads() > 1:
        return None  # one thread of ours is slower than several of PyTorch's
    if functions is not None:
        node_c.unas_use_threads(*functions)
    return node_c


@dataclass(frozen=True)
class Wants:
    """Which gradients a backward asks for."""

    weights: bool
    parameters: bool
    states: Sequence[bool]


class NodeCall:
    """The numbers and addresses of one call of node.c."""

    def __init__(self, node: NodeTable, states: Sequence[Tensor], rows_of: Routes | None) -> None:
        self.node = node
        self.threads = torch.get_num_threads()
        self.batch = states[0].shape[0]
        self.dtype = states[0].dtype
        sizes = [(*state.shape[2:], state.shape[1]) for state in states]
        self.state_sizes = np.array(sizes, np.int64)
        height, width = states[-1].shape[2:]
        stride = node.stride_of[len(states) - 1]
        self.height, self.width = -(-height // stride), -(-width // stride)
        self.is_hard = rows_of is not None
        self.active = list(range(len(node.rows))) if rows_of is None else list(rows_of)
        self.table = node.rows[self.active]
        self.rows: list[npt.NDArray[np.int64]] = []
        self._set_rows(rows_of)
        self.by_operation = any(len(rows) < self.batch for rows in self.rows)
        self._set_owners()

    @property
    def pixels(self) -> int:
        """How many there are in an image of the node."""
        return self.height * self.width

    def parameters(self) -> list[Tensor]:
        """Return the parameters of all operations that run."""
        tensors: list[Tensor] = []
        for e in self.active:
            for parameter in self.node.operations[e].parameters:
                assert parameter.tensor is not None  # noqa: S101 - for the type checker
                tensors.append(_dense(parameter.tensor))
        return tensors

    def _set_rows(self, rows_of: Routes | None) -> None:
        every = np.arange(self.batch)
        for row, e in zip(self.table, self.active, strict=True):
            images = None if rows_of is None else rows_of[e]
            rows = every if images is None else np.array(images, np.int64)
            if len(rows) * self.pixels == 1 and row[COLUMN["num_stages"]]:
                raise ValueError("Expected more than 1 value per channel when training")
            self.rows.append(rows)
            row[COLUMN["rows"]] = rows.ctypes.data
            row[COLUMN["num_rows"]] = len(rows)

    def _set_owners(self) -> None:
        """Share out whole operations to threads, the dearest ones first, or their rows."""
        table = self.table
        if not self.by_operation:
            table[:, COLUMN["owner"]] = -1
            return
        taps = table[:, COLUMN["kernel"]] ** 2 + self.node.channels
        work = table[:, COLUMN["num_rows"]] * table[:, COLUMN["num_stages"]] * taps
        loads = [0] * self.threads
        for e in np.argsort(-work, kind="stable"):
            if table[e, COLUMN["num_rows"]] >= _ROWS_TO_SHARE * self.threads:
                table[e, COLUMN["owner"]] = -1
                continue
            owner = loads.index(min(loads))
            loads[owner] += int(work[e])
            table[e, COLUMN["owner"]] = owner

    def forward(
        self,
        states: Sequence[Tensor],
        weights: Tensor,
        parameters: Sequence[Tensor],
        *,
        keeps: bool,
    ) -> Tensor:
        """Return the node's state; `keeps` what the backward needs."""
        self._set_parameters(parameters)
        self._set_statistics()
        self._reserve(keeps=keeps)
        shape = (self.batch, self.height, self.width, self.node.channels)
        out = torch.empty(shape, dtype=self.dtype)
        self._run("unas_node_forward", states, weights, out=out)
        return out.permute(0, 3, 1, 2)

    def _set_parameters(self, parameters: Sequence[Tensor]) -> None:
        remaining = iter(parameters)
        for row, e in zip(self.table, self.active, strict=True):
            for parameter in self.node.operations[e].parameters:
                row[parameter.column] = next(remaining).data_ptr()

    def _set_statistics(self) -> None:
        for row, e in zip(self.table, self.active, strict=True):
            for stage, norm in enumerate(self.node.operations[e].norms):
                if norm.running_mean is None or norm.running_var is None:
                    continue
                row[stage_column(stage, "running_mean")] = norm.running_mean.data_ptr()
                row[stage_column(stage, "running_variance")] = norm.running_var.data_ptr()
                assert norm.num_batches_tracked is not None  # noqa: S101 - for the type checker
                norm.num_batches_tracked += 1

    def _reserve(self, *, keeps: bool) -> None:
        """Find memory for the outcome of each stage and for the sums of its BatchNorm.

        What isn't kept can be the same memory for all groups of operations where they run one
        after the other.
        """
        padded = self.node.padded
        image = self.pixels * padded
        shares = not keeps and not self.by_operation
        places: list[tuple[int, int, int, int]] = []
        outcomes, sums = 0, 0
        largest = 0
        for e, row in enumerate(self.table):
            num_rows = int(row[COLUMN["num_rows"]])
            if shares and e % GROUP == 0:
                outcomes = 0
            for stage in range(int(row[COLUMN["num_stages"]])):
                places.append((e, stage, outcomes, sums))
                outcomes += num_rows * image
                sums += (4 * num_rows + 4) * padded
            largest = max(largest, outcomes)
        self.outcomes: Lease = lease(largest, self.dtype)
        self.sums = torch.empty(sums, dtype=self.dtype)
        size = self.dtype.itemsize
        for e, stage, outcome, place in places:
            row = self.table[e]
            num_rows = int(row[COLUMN["num_rows"]])
            row[stage_column(stage, "outcome")] = self.outcomes.address + size * outcome
            address = self.sums.data_ptr() + size * place
            row[stage_column(stage, "sums")] = address
            row[stage_column(stage, "slope_sums")] = address + 2 * size * num_rows * padded
            row[stage_column(stage, "moments")] = address + 4 * size * num_rows * padded

    def backward(
        self,
        gradient: Tensor,
        states: Sequence[Tensor],
        weights: Tensor,
        parameters: Sequence[Tensor],
        wants: Wants,
    ) -> tuple[Tensor | None, list[Tensor | None], list[Tensor | None]]:
        """Return the gradients in the weights, the states and the parameters that are wanted."""
        node = self.node
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        state_gradients: list[Tensor | None] = []
        for state, is_wanted in zip(states, wants.states, strict=True):
            state_gradients.append(torch.empty_like(state) if is_wanted else None)
        weight_gradient = torch.zeros_like(weights) if wants.weights else None
        parameter_gradients, of_threads = self._parameter_gradients(parameters, wants.parameters)
        input_gradients = self._reserve_input_gradients()
        sums = torch.empty(self.batch, node.padded, dtype=self.dtype)
        addresses = np.array([_address(tensor) for tensor in state_gradients], np.int64)
        self._run(
            "unas_node_backward",
            states,
            weights,
            weight_gradients=weight_gradient,
            gradient=gradient,
            gradient_sums=sums,
            gradients=of_threads,
            state_gradients=addresses,
            gradient_size=0 if of_threads is None else of_threads.shape[1],
            wants_parameters=int(wants.parameters),
        )
        del input_gradients
        if weight_gradient is not None and self.is_hard:
            weight_gradient *= weights != 0  # what wasn't picked was left out
        return weight_gradient, state_gradients, parameter_gradients

    def _parameter_gradients(
        self, parameters: Sequence[Tensor], wants: bool
    ) -> tuple[list[Tensor | None], Tensor | None]:
        """Return the gradients, and the memory that threads add them up in, [threads, numbers]."""
        if not wants:
            return [None] * len(parameters), None
        total = sum(parameter.numel() for parameter in parameters)
        make = torch.zeros if self.by_operation else torch.empty
        of_threads = make(self.threads, total, dtype=self.dtype)
        # Those of BatchNorm are written once, for all threads.
        of_threads[1:] = 0
        gradients: list[Tensor | None] = []
        place = 0
        remaining = iter(parameters)
        distance = len(BUFFERS) + len(PARAMETERS)
        for row, e in zip(self.table, self.active, strict=True):
            for parameter in self.node.operations[e].parameters:
                tensor = next(remaining)
                part = of_threads[0, place : place + tensor.numel()]
                row[parameter.column + distance] = part.data_ptr()
                gradients.append(part.as_strided(tensor.shape, tensor.stride()))
                place += tensor.numel()
        return gradients, of_threads

    def _reserve_input_gradients(self) -> Lease | None:
        if not self.by_operation:
            return None
        sizes = self.state_sizes[:, :2].prod(1) * self.node.padded
        counts = self.table[:, COLUMN["num_rows"]] * sizes[self.table[:, COLUMN["state"]]]
        counts[self.table[:, COLUMN["num_stages"]] == 0] = 0
        ends = counts.cumsum()
        memory = lease(int(ends[-1]), self.dtype)
        begins = self.dtype.itemsize * (ends - counts)
        self.table[:, COLUMN["input_gradient"]] = memory.address + begins
        return memory

    def _run(
        self,
        function: str,
        states: Sequence[Tensor],
        weights: Tensor,
        **members: Tensor | Table | int | None,
    ) -> None:
        node = self.node
        addresses = np.array([state.data_ptr() for state in states], np.int64)
        values: dict[str, Any] = {
            "batch": self.batch,
            "channels": node.channels,
            "padded": node.padded,
            "height": self.height,
            "width": self.width,
            "num_states": len(states),
            "num_operations": len(self.table),
            "num_columns": weights.shape[1],
            "threads": self.threads,
            "by_operation": int(self.by_operation),
            "states": addresses,
            "state_sizes": self.state_sizes,
            "weights": weights,
            "operations": self.table,
            **members,
        }
        numbers = np.zeros(len(NODE), np.int64)
        for name, value in values.items():
            numbers[COLUMN_OF_NODE[name]] = _address(value) if not isinstance(value, int) else value
        node_c = kernels(self.dtype)
        assert node_c is not None  # noqa: S101 - `runs` has asked
        node_c[function](
            ctypes.c_void_p(numbers.ctypes.data),
            ctypes.c_double(node.eps),
            ctypes.c_double(node.momentum or 0.0),
        )


def _dense(parameter: Tensor) -> Tensor:
    """Return a parameter, or a copy, whose numbers lie in memory in the order of its indices.

    That of [C, 1, k, k] and [C, C, 1, 1] is the same with channels last.
    """
    is_dense = parameter.is_contiguous() or (
        parameter.dim() == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    )
    return parameter if is_dense else parameter.contiguous()


def _address(value: Tensor | Table | None) -> int:
    if value is None:
        return 0
    if isinstance(value, Tensor):
        return value.data_ptr()
    return int(value.ctypes.data)
