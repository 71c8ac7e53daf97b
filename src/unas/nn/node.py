"""A node of a DARTS cell on a CPU: its operations on earlier states and their mixture, in C.

PyTorch runs a node as hundreds of small operations, each of which sends all images through the
memory. node.c runs a whole stage (ReLU, depthwise, pointwise, BatchNorm) on one image while that is
in the cache. Numbers equal those of the modules up to rounding (tests/nn/test_node.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from unas.compute.shapes import Images
from unas.nn.mixed import Routes
from unas.nn.node_call import NodeCall, Wants, kernels
from unas.nn.node_table import NodeTable
from unas.nn.ops import FactorizedReduce
from unas.nn.wanted import askable, is_reached, probe

_MAX_CHANNELS = 1024  # wider matrices leave a core's cache, which node.c counts on


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
        self.table = NodeTable(operations, channels, stride_of, channels_in or channels)
        self._hooks: list[Mapping[int, Any]] = []
        self._layers: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = []  # now and as built
        for _, operation in operations:
            for module in operation.modules():
                self._layers.append((module._modules, dict(module._modules)))
                self._hooks += [
                    module._forward_hooks,
                    module._forward_pre_hooks,
                    module._backward_hooks,
                    module._backward_pre_hooks,
                ]

    def runs(self, states: Sequence[Tensor], weights: Tensor) -> bool:
        """Return whether node.c can run the node on these states as the modules would."""
        return (
            self.is_as_built
            and self.table.channels <= _MAX_CHANNELS
            and all(_is_on_cpu(tensor, weights.dtype) for tensor in (*states, weights))
            and self.table.is_of(weights.dtype)
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and not torch._C._functorch.maybe_current_level()
            and not torch._C._len_torch_dispatch_stack()  # who counts operations must see them
            and self._uses_batch_statistics()
            and kernels(weights.dtype) is not None
        )

    @property
    def is_as_built(self) -> bool:
        """Whether nobody has replaced or changed layers, follows them or computes their weights.

        Where somebody does, they are run one by one.
        """
        return (
            self.table.is_uniform
            and not any(self._hooks)  # whoever follows a module must see it run
            and all(now == built for now, built in self._layers)
            and self.table.has_norms_as_built
            and self.table.has_plain_parameters
        )

    def _uses_batch_statistics(self) -> bool:
        return all(norm.training or norm.running_mean is None for norm in self.table.norms)

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
        call = NodeCall(self.table, states, rows_of)
        parameters = call.parameters()
        if not (torch.is_grad_enabled() and _any_requires_grad(*states, weights, *parameters)):
            return call.forward(states, weights, parameters, keeps=False)
        states = [askable(state) for state in states]
        outcome: Tensor = _MixedNode.apply(
            call, askable(weights), probe(parameters), *states, *parameters
        )
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


def _is_on_cpu(tensor: Tensor, dtype: torch.dtype) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype == dtype


def _any_requires_grad(*tensors: Tensor) -> bool:
    return any(tensor.requires_grad for tensor in tensors)


class _MixedNode(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, call: NodeCall, weights: Tensor, _probe: Tensor, *tensors: Tensor
    ) -> Tensor:
        num_states = len(call.state_sizes)
        ctx.call = call
        ctx.save_for_backward(weights, *tensors)
        return call.forward(tensors[:num_states], weights, tensors[num_states:], keeps=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        call: NodeCall = ctx.call
        weights, *tensors = ctx.saved_tensors
        num_states = len(call.state_sizes)
        nodes = [node for node, _ in ctx.next_functions[: 2 + num_states]]
        reached = [is_reached(node) for node in nodes]
        wants = Wants(reached[0], reached[1], reached[2:])
        of_weights, of_states, of_parameters = call.backward(
            gradient, tensors[:num_states], weights, tensors[num_states:], wants
        )
        return None, of_weights, None, *of_states, *of_parameters
