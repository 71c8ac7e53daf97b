"""A relaxed pass of a DARTS cell on a GPU: all operations on a state as a few large kernels.

A cell runs some hundred convolutions of few channels, each of which a GPU starts one by one and is
done with before it has started the next. Those on one state need the same images, so here they are
one grouped convolution, one BatchNorm and one weighted sum for all nodes that the state leads to.
Numbers equal those of the modules up to rounding (tests/nn/test_grouped.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unas.nn.native import is_wanted
from unas.nn.ops import DilatedConv, FactorizedReduce, SeparableConv

LAYERS_OF_A_STAGE = 4  # ReLU, depthwise, pointwise, BatchNorm


def pays_on(device: torch.device) -> bool:
    """Return whether the device gets few large kernels in place of many small ones.

    That costs memory: the states are copied for each operation and edge. `UNAS_NATIVE=0` leaves the
    modules as they are.
    """
    return device.type == "cuda" and is_wanted()


class _Group:
    """States of a cell that are there at the same time, with the edges to all nodes after them.

    Args:
        states: their numbers: 0 and 1 are the cell's inputs, 2 + n is node n.
        nodes: those that come after them.
        operations: of one edge; all are alike.
    """

    def __init__(
        self, states: Sequence[int], nodes: Sequence[int], operations: Sequence[nn.Module]
    ) -> None:
        self.states = states
        self.nodes = nodes
        self.edges = [(state, node) for state in states for node in nodes]
        self.separable = _numbers(operations, SeparableConv)
        self.dilated = _numbers(operations, DilatedConv)
        self.reducing = _numbers(operations, FactorizedReduce)
        with_weights = {*self.separable, *self.dilated, *self.reducing}
        self.shared = [o for o in range(len(operations)) if o not in with_weights]


class GroupedCell:
    """The nodes of a cell, whose edges run together.

    Args:
        operations: of each edge: operations[node][state].
        channels: C, of each node.
        stride: of operations on the cell's two inputs.
        eps: of all BatchNorms.
    """

    def __init__(
        self,
        operations: Sequence[Sequence[Sequence[nn.Module]]],
        channels: int,
        stride: int,
        eps: float,
    ) -> None:
        self.operations = operations
        self.channels = channels
        self.stride = stride
        self.eps = eps
        nodes = range(len(operations))
        self._groups = [_Group((0, 1), nodes, operations[0][0])]
        for node in nodes[:-1]:
            self._groups.append(_Group((2 + node,), nodes[node + 1 :], operations[node + 1][-1]))
        self._columns, self._sizes = self._order_of_weights()
        self._columns_on: dict[torch.device, Tensor] = {}

    def __call__(self, inputs: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
        """Return the nodes' states side by side, [B, nodes·C, H, W].

        Args:
            inputs: both of the cell, [B, C, H', W'].
            weights: of each node's operations, by states and then by operations, [B, E].
        """
        factors = self._factors(torch.cat(list(weights), 1).to(inputs[0].dtype))
        of_convolutions = [*self._groups[0].separable, *self._groups[0].dilated]
        first = self._filters(of_convolutions, 0)
        second = self._filters(self._groups[0].separable, 1)
        images = torch.cat(list(inputs), 1)
        to_come: list[Tensor] = []  # what the nodes that follow have so far, [B, nodes, H, W, C]
        nodes: list[Tensor] = []
        for number, group in enumerate(self._groups):
            active = images.relu()
            terms = [*to_come]
            if of_convolutions:
                stride = self.stride if number == 0 else 1
                spread = self._for_each_edge(active, group, len(of_convolutions))
                begun = self._stage(spread, next(first), stride)
                kinds = (group.separable, group.dilated)
                sizes = [len(kind) * len(group.edges) * self.channels for kind in kinds]
                parts = torch.split(begun, sizes, 1)
                if group.separable:
                    done = self._stage(parts[0].relu(), next(second), 1)
                    terms.append(self._weighed(done, group, next(factors)))
                if group.dilated:
                    terms.append(self._weighed(parts[1], group, next(factors)))
            if group.reducing:
                terms.append(self._weighed(self._reduced(active, group), group, next(factors)))
            if group.shared:
                terms.append(self._mixed(images, group, next(factors)))
            total = terms[0]
            for term in terms[1:]:
                total = total + term
            node, *to_come = torch.split(total, [1, len(group.nodes) - 1], 1)
            images = node.squeeze(1).permute(0, 3, 1, 2)
            nodes.append(images)
        return torch.cat(nodes, 1)

    def _order_of_weights(self) -> tuple[list[int], list[int]]:
        """Return the columns of all nodes' weights in the order of their use, and how many of each.

        Those of operations that run on edges are [operations, states, nodes], those of operations
        that run on states [nodes, operations, states].
        """
        columns: list[int] = []
        sizes: list[int] = []
        count = len(self.operations[0][0])
        begins = [0]
        for of_node in self.operations:
            begins.append(begins[-1] + len(of_node) * count)
        for group in self._groups:
            for numbers in (group.separable, group.dilated, group.reducing):
                if numbers:
                    picked = [
                        begins[node] + state * count + o
                        for o in numbers
                        for state, node in group.edges
                    ]
                    columns += picked
                    sizes.append(len(picked))
            if group.shared:
                picked = [
                    begins[node] + state * count + o
                    for node in group.nodes
                    for o in group.shared
                    for state in group.states
                ]
                columns += picked
                sizes.append(len(picked))
        return columns, sizes

    def _factors(self, weights: Tensor) -> Iterator[Tensor]:
        """Return an iterator over the weights in the order of their use."""
        device = weights.device
        if device not in self._columns_on:
            with torch.inference_mode(mode=False):  # or it could never be trained with
                self._columns_on[device] = torch.tensor(self._columns, device=device)
        ordered = weights.index_select(1, self._columns_on[device])
        return iter(torch.split(ordered, self._sizes, 1))

    def _filters(self, numbers: Sequence[int], stage: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Return an iterator over each group's depthwise and pointwise filters in a stage.

        They are joined for the whole cell at once, and those of a group are [operations, edges].
        """
        if not numbers:
            return iter(())
        edges = [edge for group in self._groups for edge in group.edges]
        sizes = [len(group.edges) for group in self._groups]
        place = LAYERS_OF_A_STAGE * stage + 1
        depthwise = [self._layers(o, edges, place) for o in numbers]
        largest = max(_size(layers[0]) for layers in depthwise)
        matrices = [layer.weight for o in numbers for layer in self._layers(o, edges, place + 1)]
        joined = [
            torch.stack([_embedded(layers, largest) for layers in depthwise]),
            torch.cat(matrices),
        ]
        of_groups = []
        for filters in joined:
            by_edge = filters.view(len(numbers), len(edges), -1, *filters.shape[-3:])
            parts = torch.split(by_edge, sizes, 1)
            of_groups.append([part.flatten(0, 2) for part in parts])
        return zip(*of_groups, strict=True)

    def _for_each_edge(self, active: Tensor, group: _Group, operations: int) -> Tensor:
        """Return the images of the states once for each operation on each edge.

        Their channels are [operations, states, nodes, C] from then on.
        """
        rows = active.permute(0, 2, 3, 1)
        once = rows.reshape(*rows.shape[:3], 1, len(group.states), 1, self.channels)
        spread = once.expand(-1, -1, -1, operations, -1, len(group.nodes), -1)
        return spread.reshape(*rows.shape[:3], -1).permute(0, 3, 1, 2)

    def _stage(self, images: Tensor, filters: tuple[Tensor, Tensor], stride: int) -> Tensor:
        """Return depthwise and pointwise convolution and BatchNorm of the images of each edge."""
        depthwise, pointwise = filters
        padding = depthwise.shape[-1] // 2
        taken = F.conv2d(images, depthwise, None, stride, padding, groups=len(depthwise))
        mixed = F.conv2d(taken, pointwise, groups=len(pointwise) // self.channels)
        return self._normalised(mixed)

    def _reduced(self, active: Tensor, group: _Group) -> Tensor:
        """Return what each `FactorizedReduce` gives, its channels [states, nodes, C]."""
        (o,) = group.reducing
        layers = [cast("FactorizedReduce", self.operations[node][s][o]) for s, node in group.edges]
        odd_sides = (0, active.shape[3] % 2, 0, active.shape[2] % 2)
        halves = []
        for images, convs in (
            (active, [layer.even for layer in layers]),
            (F.pad(active[:, :, 1:, 1:], odd_sides), [layer.odd for layer in layers]),
        ):
            matrices = torch.cat([conv.weight for conv in convs])
            every_other = images[:, :, ::2, ::2].contiguous(memory_format=torch.channels_last)
            half = F.conv2d(every_other, matrices, groups=len(group.states))
            halves.append(half.reshape(len(half), len(layers), -1, *half.shape[2:]))
        return self._normalised(torch.cat(halves, 2).flatten(1, 2))

    def _normalised(self, images: Tensor) -> Tensor:
        """Return the images as the BatchNorm of a search makes them."""
        return F.batch_norm(images, None, None, training=True, eps=self.eps)

    def _weighed(self, outcomes: Tensor, group: _Group, factors: Tensor) -> Tensor:
        """Return the sum for each node, [B, N, H, W, C].

        Args:
            outcomes: of operations on edges, their channels [operations, states, nodes, C].
            group: the edges.
            factors: [B, operations·states·nodes].
        """
        rows = outcomes.permute(0, 2, 3, 1)
        rows = rows.reshape(*rows.shape[:3], -1, len(group.nodes), self.channels)
        weights = factors.view(len(factors), 1, 1, -1, len(group.nodes), 1)
        total = (rows * weights).sum(3, dtype=rows.dtype)  # autocast would make it float32
        return total.permute(0, 3, 1, 2, 4)

    def _mixed(self, images: Tensor, group: _Group, factors: Tensor) -> Tensor:
        """Return the sum for each node, [B, N, H, W, C], of what has no parameters.

        That is the same for all nodes, so it is computed once for each state.

        Args:
            images: of the states side by side, [B, states·C, H', W'].
            group: the edges.
            factors: [B, nodes·operations·states].
        """
        operations = self.operations[group.nodes[0]][group.states[0]]
        outcomes = []
        for o in group.shared:
            rows: Tensor = operations[o](images).permute(0, 2, 3, 1)
            of_states = rows.reshape(*rows.shape[:3], len(group.states), -1)
            outcomes.append(of_states.permute(0, 3, 1, 2, 4))
        stacked = torch.stack(outcomes, 1)  # [B, operations, states, H, W, C]
        weights = factors.view(len(factors), len(group.nodes), -1)
        total = torch.bmm(weights.to(stacked.dtype), stacked.flatten(1, 2).flatten(2))
        return total.reshape(*weights.shape[:2], *stacked.shape[3:])

    def _layers(self, o: int, edges: Sequence[tuple[int, int]], place: int) -> list[Any]:
        """Return a layer of operation number o on each edge."""
        return [cast("Any", self.operations[node][state][o])[place] for state, node in edges]


def _numbers(operations: Sequence[nn.Module], kind: type[nn.Module]) -> list[int]:
    return [o for o, operation in enumerate(operations) if isinstance(operation, kind)]


def _size(layer: nn.Conv2d) -> int:
    """Return the pixels from one end of a filter to the other."""
    return layer.dilation[0] * (layer.kernel_size[0] - 1) + 1


def _embedded(layers: Sequence[nn.Conv2d], size: int) -> Tensor:
    """Return the filters of layers that are alike, with zeros in and around them: size × size."""
    filters = torch.cat([layer.weight for layer in layers])
    step = layers[0].dilation[0]
    if step > 1:
        own = _size(layers[0])
        filters = F.pad(filters[..., None], (0, step - 1)).flatten(3)[..., :own]
        filters = F.pad(filters[:, :, :, None], (0, 0, 0, step - 1)).flatten(2, 3)[:, :, :own]
    margin = (size - _size(layers[0])) // 2
    return F.pad(filters, (margin,) * 4) if margin else filters
