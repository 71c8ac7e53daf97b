"""The supernet of the DARTS space: every operation on every edge, shared by all architectures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import cast

import torch
from torch import Tensor, nn

from unas.architecture.policy import Sample
from unas.nn.grouped import GroupedCell, pays_on
from unas.nn.mixed import BatchNormRows, Routes, has_batch_norm, mix, routes, spread, take
from unas.nn.node import NativeLayer, NativeNode
from unas.nn.ops import (
    DilatedConv,
    FactorizedReduce,
    ReLUConvBN,
    SeparableConv,
    build_operation,
)
from unas.nn.recomputation import Recomputable, recomputed
from unas.spaces.darts.chain import CellShape, cell_shapes
from unas.spaces.darts.choices import CELLS, slot_names
from unas.spaces.darts.ends import CifarStem, ImageNetStem


@dataclass(frozen=True)
class NodePlan:
    """How one node mixes its candidates: candidate j·n + o is operation o of n on state j.

    Args:
        weights: Σ_slots input_j·operation_o for each image, [B, E].
        rows_of: for a hard sample, the images of each candidate that was picked (see
            `unas.nn.mixed.routes`).
    """

    weights: Tensor
    rows_of: Routes | None


class DartsSupernet(nn.Module):
    """All architectures of a DARTS space at once (DARTS, section 2).

    A relaxed sample runs every operation, a hard one only those that were picked.

    Args:
        operations: what each slot may do.
        num_classes: length of the logits.
        image_channels: channels of the images.
        channels: C, the channels of the first cells of a CIFAR supernet; those of an ImageNet one
            begin with 3C.
        layers: L, the number of cells.
        nodes: of each cell.
        stem: "cifar" or "imagenet".
        bn: what a hard sample's BatchNorm takes its statistics over; see `DartsSpace`.
    """

    def __init__(
        self,
        operations: Sequence[str],
        num_classes: int,
        image_channels: int,
        *,
        channels: int,
        layers: int,
        nodes: int,
        stem: str,
        bn: BatchNormRows,
    ) -> None:
        super().__init__()
        self.operations = tuple(operations)
        stem_channels = 3 * channels
        stem_class = CifarStem if stem == "cifar" else ImageNetStem
        self.stem = stem_class(image_channels, stem_channels, searching=True)
        first_channels = channels if stem == "cifar" else stem_channels
        self.cells = nn.ModuleList()
        self.kinds: list[str] = []
        shapes = cell_shapes(
            layers,
            first_channels,
            stem_channels,
            nodes=nodes,
            stem_reduces=self.stem.reduces,
        )
        self.nodes = nodes
        for shape in shapes:
            self.cells.append(MixedCell(self.operations, shape, bn))
            self.kinds.append(shape.kind)
        self.classifier = nn.Linear(shapes[-1].channels_out, num_classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor, sample: Sample) -> Tensor:
        """Return the logits [B, num_classes] of images [B, C, H, W] under G architectures.

        G divides B.
        """
        plans = {cell: self._plan(cell, sample, images) for cell in CELLS}
        before, previous = self.stem(images.contiguous(memory_format=torch.channels_last))
        for cell, kind in zip(self.cells, self.kinds, strict=True):
            before, previous = previous, cell(before, previous, plans[kind])
        return self.classifier(previous.mean((2, 3)))  # type: ignore[no-any-return]

    def _plan(self, cell: str, sample: Sample, images: Tensor) -> list[NodePlan]:
        moved = sample.to(images.device)
        return [self._plan_node(cell, node, moved, images) for node in range(self.nodes)]

    def _plan_node(self, cell: str, node: int, sample: Sample, images: Tensor) -> NodePlan:
        batch = images.shape[0]
        slots = slot_names(cell, node)
        first, second = (
            sample[source][:, :, None] * sample[op][:, None, :] for source, op in slots
        )
        weights = spread((first + second).flatten(1).to(images.dtype), batch)
        if not sample.is_hard:
            return NodePlan(weights, None)
        picks = zip(*(self._picked(sample, *slot) for slot in slots), strict=True)
        return NodePlan(weights, routes(list(picks), batch))

    def _picked(self, sample: Sample, input_name: str, operation_name: str) -> list[int]:
        """Return the candidate that a slot of each architecture picked."""
        inputs = sample.picks[input_name]
        operations = sample.picks[operation_name]
        return [j * len(self.operations) + o for j, o in zip(inputs, operations, strict=True)]


class CellState:
    """A state of a cell, with what several edges need of it computed once.

    Args:
        images: [B, C, H, W].
    """

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self._outcomes: dict[int, Tensor] = {}

    @cached_property
    def active(self) -> Tensor:
        """ReLU of the state, with which every convolution begins."""
        return self.images.relu()

    def outcome(self, o: int, operation: nn.Module) -> Tensor:
        """Return the outcome of operation number o, which has no parameters.

        It is therefore the same on every edge.
        """
        if o not in self._outcomes:
            self._outcomes[o] = operation(self.images)
        return self._outcomes[o]


class MixedEdge(nn.ModuleList):
    """All operations between two states."""

    def __init__(
        self, operations: Sequence[str], channels: int, stride: int, bn: BatchNormRows
    ) -> None:
        built = [build_operation(name, channels, stride, searching=True) for name in operations]
        super().__init__(built)
        self._after_relu = [_layers_after_relu(operation) for operation in built]
        self._is_shared = [next(operation.parameters(), None) is None for operation in built]
        self._sees_batch = [bn == "batch" and has_batch_norm(operation) for operation in built]

    def outcomes(self, state: CellState) -> list[Callable[[Tensor | None], Tensor]]:
        """Return what computes the outcome of each operation, for all images or for some rows."""
        return [partial(self.outcome, o, state) for o in range(len(self))]

    def outcome(self, o: int, state: CellState, rows: Tensor | None) -> Tensor:
        """Return the outcome of operation number o for all images, or for those in `rows`."""
        operation = self[o]
        layers = self._after_relu[o]
        if rows is None and self._is_shared[o]:
            return state.outcome(o, operation)
        images = state.images if layers is None else state.active
        if rows is not None and not self._sees_batch[o]:
            images = take(images, rows)
            rows = None
        for layer in layers or (operation,):
            images = layer(images)
        return images if rows is None else take(images, rows)


class MixedCell(Recomputable):
    """Preprocessing of two inputs, then nodes over all earlier states, concatenated."""

    def __init__(self, operations: Sequence[str], shape: CellShape, bn: BatchNormRows) -> None:
        super().__init__()
        channels = shape.channels
        self._sees_batch = bn == "batch"
        preprocess = FactorizedReduce if shape.follows_reduction else ReLUConvBN
        self.preprocess0 = preprocess(shape.channels_in[0], channels, searching=True)
        self.preprocess1 = ReLUConvBN(shape.channels_in[1], channels, searching=True)
        self._inputs = [
            NativeLayer(self.preprocess0, shape.channels_in[0], channels),
            NativeLayer(self.preprocess1, shape.channels_in[1], channels),
        ]
        self.edges = nn.ModuleList()
        self._native_nodes: list[NativeNode] = []
        for node in range(shape.nodes):
            strides = [shape.stride(state) for state in range(node + 2)]
            edges = [MixedEdge(operations, channels, stride, bn) for stride in strides]
            self.edges.extend(edges)
            numbered = [(j, operation) for j, edge in enumerate(edges) for operation in edge]
            self._native_nodes.append(NativeNode(numbered, channels, strides))
        self._together = self._grouped(shape)

    def forward(self, before: Tensor, previous: Tensor, plans: Sequence[NodePlan]) -> Tensor:
        """Return the nodes' states [B, nodes·channels, H, W]."""
        if not self.recomputes:
            return self._run(before, previous, plans)

        def run(before: Tensor, previous: Tensor, *weights: Tensor) -> Tensor:
            of_nodes = zip(plans, weights, strict=True)
            again = [replace(plan, weights=of_node) for plan, of_node in of_nodes]
            return self._run(before, previous, again)

        return recomputed(self, run, before, previous, *(plan.weights for plan in plans))

    def _run(self, before: Tensor, previous: Tensor, plans: Sequence[NodePlan]) -> Tensor:
        inputs = [self._inputs[0].run(before), self._inputs[1].run(previous)]
        if self._runs_grouped(plans):
            return self._together(inputs, [plan.weights for plan in plans])
        states = [CellState(images) for images in inputs]
        remaining = iter(cast("Iterable[MixedEdge]", self.edges))
        for plan, native in zip(plans, self._native_nodes, strict=True):
            edges = [next(remaining) for _ in states]
            images = [state.images for state in states]
            if native.runs(images, plan.weights):
                mixed = native(images, plan.weights, self._rows_of(plan))
            else:
                mixed = self._mix(plan, edges, states)
            states.append(CellState(mixed))
        return torch.cat([state.images for state in states[2:]], 1)

    def _grouped(self, shape: CellShape) -> GroupedCell:
        remaining = iter(cast("Iterable[MixedEdge]", self.edges))
        operations = [
            [list(next(remaining)) for _ in range(node + 2)] for node in range(shape.nodes)
        ]
        eps = self._native_nodes[0].table.eps
        return GroupedCell(operations, shape.channels, shape.stride(0), eps)

    def _runs_grouped(self, plans: Sequence[NodePlan]) -> bool:
        return (
            plans[0].rows_of is None
            and pays_on(plans[0].weights.device)
            and all(node.is_as_built for node in self._native_nodes)
        )

    def _rows_of(self, plan: NodePlan) -> Routes | None:
        """Return the images that each operation of a node runs on."""
        if plan.rows_of is None or not self._sees_batch:
            return plan.rows_of
        return dict.fromkeys(plan.rows_of)  # all of them, for their statistics

    def _mix(
        self, plan: NodePlan, edges: Sequence[MixedEdge], states: Sequence[CellState]
    ) -> Tensor:
        """Return a node's state by the modules of its edges."""
        candidates: list[Callable[[Tensor | None], Tensor]] = []
        for edge, state in zip(edges, states, strict=True):
            candidates += edge.outcomes(state)
        return mix(plan.weights, candidates, plan.rows_of)


def _layers_after_relu(operation: nn.Module) -> list[nn.Module] | None:
    """Return the layers behind an operation's ReLU; None if it doesn't begin with one."""
    if isinstance(operation, SeparableConv | DilatedConv):
        return list(operation)[1:]
    return None
