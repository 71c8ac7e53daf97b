"""A node of a DARTS cell on a CPU: its operations on earlier states and their mixture, in C.

PyTorch runs a node as hundreds of small operations, each of which sends all images through the
memory. node.c runs a whole stage (ReLU, depthwise, pointwise, BatchNorm) on one image while that is
in the cache. Numbers equal those of the modules up to rounding (tests/nn/test_node.py).
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from unas.compute.shapes import Images
from unas.nn.lease import Lease, lease
from unas.nn.mixed import Routes
from unas.nn.native import library, openmp
from unas.nn.ops import DilatedConv, FactorizedReduce, ReLUConvBN, SeparableConv

LANES = 16  # of node.c
_MAX_CHANNELS = 1024
_GROUP = 7
# From so many rows a thread on, threads share an operation's rows, and wait for each other.
_ROWS_TO_SHARE = 4
_IDENTITY, _SEPARABLE, _DILATED, _POINTWISE, _REDUCE, _MAX_POOL, _AVERAGE_POOL = range(7)

# The members of the structures in node.c, each of eight bytes.
_PARAMETERS = ("depthwise", "pointwise", "gain", "shift")
_BUFFERS = ("running_mean", "running_variance", "outcome", "sums", "moments", "slope_sums")
_GRADIENTS = ("depthwise_gradient", "pointwise_gradient", "gain_gradient", "shift_gradient")
_STAGE = (*_PARAMETERS, *_BUFFERS, *_GRADIENTS)
_SIZES = ("kind", "state", "channels", "kernel", "stride", "dilation", "num_stages")
_OPERATION = (*_SIZES, "rows", "num_rows", "column", "owner", "input_gradient")
_NODE = (
    *("batch", "channels", "padded", "height", "width"),
    *("num_states", "num_operations", "num_columns", "threads"),
    *("by_operation", "wants_parameters", "gradient_step", "gradient_size"),
    *("states", "state_gradients", "state_sizes", "weights", "weight_gradients"),
    *("out", "gradient", "gradient_sums", "gradients", "operations"),
)
_AT = {name: number for number, name in enumerate(_OPERATION)}
_AT_NODE = {name: number for number, name in enumerate(_NODE)}
_WIDTH = len(_OPERATION) + 2 * len(_STAGE)

Table = npt.NDArray[np.int64]


def _at(stage: int, name: str) -> int:
    """Return the column of a stage's member in an operation's row."""
    return len(_OPERATION) + stage * len(_STAGE) + _STAGE.index(name)


@cache
def _kernels() -> ctypes.CDLL | None:
    """Return node.c, ready to run; None where it can't be had."""
    kernels = library("node")
    if kernels is None:
        return None
    functions = openmp()
    if functions is None and torch.get_num_threads() > 1:
        return None  # one thread of ours is slower than several of PyTorch's
    if functions is not None:
        kernels.unas_use_threads(*functions)
    return kernels


class _Parameter(NamedTuple):
    """Where a parameter of an operation is, and the column that its address is written to."""

    column: int
    module: nn.Module
    name: str

    @property
    def tensor(self) -> Tensor | None:
        """The parameter as it is now."""
        return self.module._parameters[self.name]


class _Description:
    """What node.c has to know of an operation: its numbers, its parameters and its BatchNorms."""

    def __init__(self, state: int, channels: int, operation: nn.Module) -> None:
        self.row = np.zeros(_WIDTH, np.int64)
        self._set(state=state, channels=channels, kernel=1, stride=1)
        self.parameters: list[_Parameter] = []
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
            self.row[_AT[name]] = value

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
        self.parameters.append(_Parameter(_at(stage, member), module, name))

    def _add_norm(self, stage: int, norm: nn.BatchNorm2d) -> None:
        self.norms.append(norm)
        if norm.affine:
            self._add_parameter(stage, "gain", norm)
            self._add_parameter(stage, "shift", norm, "bias")


class NativeNode:
    """Σ_e weights[:, e]·operation_e(state_e) of a node, by node.c.

    Args:
        operations: the state of each operation and the operation, by the weights' columns.
        channels: C, of the node.
        stride_of: the stride of operations on each state.
        channels_in: those of the states, C by default; others only where the node is a `ReLUConvBN`
            or a `FactorizedReduce`.
    """

    def __init__(
        self,
        operations: Sequence[tuple[int, nn.Module]],
        channels: int,
        stride_of: Sequence[int],
        channels_in: int | None = None,
    ) -> None:
        self.channels = channels
        self.padded = -(-channels // LANES) * LANES
        self.stride_of = tuple(stride_of)
        source = channels_in or channels
        self.descriptions = [_Description(j, source, operation) for j, operation in operations]
        self.table = np.stack([description.row for description in self.descriptions])
        self.table[:, _AT["column"]] = np.arange(len(operations))
        self._modules = [module for _, operation in operations for module in operation.modules()]
        self.norms = [norm for description in self.descriptions for norm in description.norms]
        kinds = {(norm.eps, norm.momentum, norm.track_running_stats) for norm in self.norms}
        self.is_plain = len(kinds) <= 1
        self.eps, self.momentum, _ = kinds.pop() if kinds else (0.0, None, False)

    def runs(self, states: Sequence[Tensor], weights: Tensor) -> bool:
        """Return whether node.c can run the node on these states as the modules would."""
        return (
            self.is_plain
            and self.channels <= _MAX_CHANNELS
            and all(_is_plain(tensor) for tensor in (*states, weights))
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and not torch._C._functorch.maybe_current_level()
            and not torch._C._len_torch_dispatch_stack()  # who counts operations must see them
            and self._uses_batch_statistics()
            and not any(map(_is_watched, self._modules))
            and _kernels() is not None
        )

    def _uses_batch_statistics(self) -> bool:
        # All of a network's BatchNorms are in one mode.
        return not self.norms or self.norms[0].training or self.norms[0].running_mean is None

    def __call__(self, states: Sequence[Tensor], weights: Tensor, rows_of: Routes | None) -> Tensor:
        """Return the node's state [B, C, H, W].

        Args:
            states: [B, C, H', W'] each; those with a stride of 2 are twice as large as the node.
            weights: [B, E].
            rows_of: the images of each operation that runs, as of `unas.nn.mixed.routes`; None if
                all images go through all.

        Raises:
            ValueError: a BatchNorm gets a single value a channel.
        """
        states = [state.contiguous(memory_format=torch.channels_last) for state in states]
        weights = weights.contiguous()
        layout = _Layout(self, states, rows_of)
        parameters = layout.parameters()
        if not (torch.is_grad_enabled() and _any_requires_grad(*states, weights, *parameters)):
            return layout.forward(states, weights, parameters, keeps=False)
        if weights.requires_grad and weights.is_leaf:
            weights = weights.view_as(weights)  # a leaf can't be asked whether it is wanted
        states = [state.view_as(state) if state.is_leaf else state for state in states]
        probe = _Probe.apply(*parameters)
        outcome: Tensor = _MixedNode.apply(layout, weights, probe, *states, *parameters)
        return outcome


class NativeLayer(NativeNode):
    """A `ReLUConvBN` or a `FactorizedReduce` alone, as a node of one operation.

    Args:
        layer: the layer.
        channels_in: channels of its images.
        channels: channels of what it returns.
    """

    def __init__(self, layer: nn.Module, channels_in: int, channels: int) -> None:
        stride = 2 if isinstance(layer, FactorizedReduce) else 1
        super().__init__([(0, layer)], channels, [stride], channels_in)
        self.layer = layer

    def run(self, images: Images) -> Tensor:
        """Return what the layer makes of the images: [B, C, H, W], by node.c where that can."""
        weights = images.new_ones(images.shape[0], 1)
        if not self.runs([images], weights):
            return self.layer(images)  # type: ignore[no-any-return]
        return self([images], weights, None)


def _is_watched(module: nn.Module) -> bool:
    """Return whether others change or follow what a module does: with hooks, or parametrised."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
        or "parametrizations" in module._modules
    )


def _dense(parameter: Tensor) -> Tensor:
    """Return a parameter, or a copy, whose numbers lie in memory in the order of its indices.

    That of [C, 1, k, k] and [C, C, 1, 1] is the same with channels last.
    """
    is_dense = parameter.is_contiguous() or (
        parameter.dim() == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    )
    return parameter if is_dense else parameter.contiguous()


def _is_plain(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32


def _any_requires_grad(*tensors: Tensor) -> bool:
    return any(tensor.requires_grad for tensor in tensors)


class _Layout:
    """The numbers and addresses of one call of node.c."""

    def __init__(self, node: NativeNode, states: Sequence[Tensor], rows_of: Routes | None) -> None:
        self.node = node
        self.threads = torch.get_num_threads()
        self.batch = states[0].shape[0]
        sizes = [(*state.shape[2:], state.shape[1]) for state in states]
        self.state_sizes = np.array(sizes, np.int64)
        height, width = states[-1].shape[2:]
        stride = node.stride_of[len(states) - 1]
        self.height, self.width = -(-height // stride), -(-width // stride)
        self.is_hard = rows_of is not None
        self.active = list(range(len(node.table))) if rows_of is None else list(rows_of)
        self.table = node.table[self.active]
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
            for parameter in self.node.descriptions[e].parameters:
                assert parameter.tensor is not None  # noqa: S101 - for the type checker
                tensors.append(_dense(parameter.tensor))
        return tensors

    def _set_rows(self, rows_of: Routes | None) -> None:
        every = np.arange(self.batch)
        for row, e in zip(self.table, self.active, strict=True):
            images = None if rows_of is None else rows_of[e]
            rows = every if images is None else np.array(images, np.int64)
            if len(rows) * self.pixels == 1 and row[_AT["num_stages"]]:
                raise ValueError("Expected more than 1 value per channel when training")
            self.rows.append(rows)
            row[_AT["rows"]] = rows.ctypes.data
            row[_AT["num_rows"]] = len(rows)

    def _set_owners(self) -> None:
        """Share out whole operations to threads, the dearest ones first, or their rows."""
        table = self.table
        if not self.by_operation:
            table[:, _AT["owner"]] = -1
            return
        taps = table[:, _AT["kernel"]] ** 2 + self.node.channels
        work = table[:, _AT["num_rows"]] * table[:, _AT["num_stages"]] * taps
        loads = [0] * self.threads
        for e in np.argsort(-work, kind="stable"):
            if table[e, _AT["num_rows"]] >= _ROWS_TO_SHARE * self.threads:
                table[e, _AT["owner"]] = -1
                continue
            owner = loads.index(min(loads))
            loads[owner] += int(work[e])
            table[e, _AT["owner"]] = owner

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
        out = torch.empty(self.batch, self.height, self.width, self.node.channels)
        self._run("unas_node_forward", states, weights, out=out)
        return out.permute(0, 3, 1, 2)

    def _set_parameters(self, parameters: Sequence[Tensor]) -> None:
        remaining = iter(parameters)
        for row, e in zip(self.table, self.active, strict=True):
            for parameter in self.node.descriptions[e].parameters:
                row[parameter.column] = next(remaining).data_ptr()

    def _set_statistics(self) -> None:
        for row, e in zip(self.table, self.active, strict=True):
            for stage, norm in enumerate(self.node.descriptions[e].norms):
                if norm.running_mean is None or norm.running_var is None:
                    continue
                row[_at(stage, "running_mean")] = norm.running_mean.data_ptr()
                row[_at(stage, "running_variance")] = norm.running_var.data_ptr()
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
            num_rows = int(row[_AT["num_rows"]])
            if shares and e % _GROUP == 0:
                outcomes = 0
            for stage in range(int(row[_AT["num_stages"]])):
                places.append((e, stage, outcomes, sums))
                outcomes += num_rows * image
                sums += (4 * num_rows + 4) * padded
            largest = max(largest, outcomes)
        self.outcomes: Lease = lease(largest)
        self.sums = torch.empty(sums)
        for e, stage, outcome, place in places:
            row = self.table[e]
            num_rows = int(row[_AT["num_rows"]])
            row[_at(stage, "outcome")] = self.outcomes.address + 4 * outcome
            address = self.sums.data_ptr() + 4 * place
            row[_at(stage, "sums")] = address
            row[_at(stage, "slope_sums")] = address + 8 * num_rows * padded
            row[_at(stage, "moments")] = address + 16 * num_rows * padded

    def backward(
        self,
        gradient: Tensor,
        states: Sequence[Tensor],
        weights: Tensor,
        parameters: Sequence[Tensor],
        wants: _Wants,
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
        sums = torch.empty(self.batch, node.padded)
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
        of_threads = make(self.threads, total)
        # Those of BatchNorm are written once, for all threads.
        of_threads[1:] = 0
        gradients: list[Tensor | None] = []
        place = 0
        remaining = iter(parameters)
        distance = len(_BUFFERS) + len(_PARAMETERS)
        for row, e in zip(self.table, self.active, strict=True):
            for parameter in self.node.descriptions[e].parameters:
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
        counts = self.table[:, _AT["num_rows"]] * sizes[self.table[:, _AT["state"]]]
        counts[self.table[:, _AT["num_stages"]] == 0] = 0
        ends = counts.cumsum()
        memory = lease(int(ends[-1]))
        self.table[:, _AT["input_gradient"]] = memory.address + 4 * (ends - counts)
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
        values["gradient_step"] = values.get("gradient_size", 0)
        numbers = np.zeros(len(_NODE), np.int64)
        for name, value in values.items():
            numbers[_AT_NODE[name]] = _address(value) if not isinstance(value, int) else value
        kernels = _kernels()
        assert kernels is not None  # noqa: S101 - `runs` has asked
        kernels[function](
            ctypes.c_void_p(numbers.ctypes.data),
            ctypes.c_double(node.eps),
            ctypes.c_double(node.momentum or 0.0),
        )


def _address(value: Tensor | Table | None) -> int:
    if value is None:
        return 0
    if isinstance(value, Tensor):
        return value.data_ptr()
    return int(value.ctypes.data)


@dataclass(frozen=True)
class _Wants:
    """Which gradients a backward asks for."""

    weights: bool
    parameters: bool
    states: Sequence[bool]


class _Probe(torch.autograd.Function):
    """Stands for all parameters of a node: whether it is reached says whether they are wanted."""

    @staticmethod
    def forward(_ctx: Any, *_parameters: Tensor) -> Tensor:
        return torch.empty(0)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[None, ...]:
        return (None,) * len(ctx.needs_input_grad)


class _MixedNode(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, layout: _Layout, weights: Tensor, _probe: Tensor, *tensors: Tensor
    ) -> Tensor:
        num_states = len(layout.state_sizes)
        ctx.layout = layout
        ctx.save_for_backward(weights, *tensors)
        return layout.forward(tensors[:num_states], weights, tensors[num_states:], keeps=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        layout: _Layout = ctx.layout
        weights, *tensors = ctx.saved_tensors
        num_states = len(layout.state_sizes)
        nodes = [node for node, _ in ctx.next_functions[: 2 + num_states]]
        reached = [_is_reached(node) for node in nodes]
        wants = _Wants(reached[0], reached[1], reached[2:])
        of_weights, of_states, of_parameters = layout.backward(
            gradient, tensors[:num_states], weights, tensors[num_states:], wants
        )
        return None, of_weights, None, *of_states, *of_parameters


def _is_reached(node: Any) -> bool:
    """Return whether the backward that is running goes on to a node of the graph.

    Autograd leaves out whole nodes that nobody asks for, but tells a Python node nothing about
    which of its gradients are wanted. The policy's backward must not pay for the gradients of the
    network's weights, nor theirs for the policy's.
    """
    return node is not None and bool(torch._C._will_engine_execute_node(node))
