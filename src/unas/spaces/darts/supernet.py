"""The supernet of the DARTS space: every operation on every edge, shared by all architectures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from unas.architecture.policy import Sample
from unas.nn.mixed import BatchNormRows, has_batch_norm, mix, routes, spread, take
from unas.nn.ops import (
    OPERATIONS,
    DilatedConv,
    FactorizedReduce,
    ReLUConvBN,
    SeparableConv,
    build_operation,
)
from unas.spaces.darts.ends import CifarStem, ImageNetStem

if TYPE_CHECKING:
    from unas.spaces.darts import DartsSpace

NODES = 4
KINDS = ("normal", "reduction")


@dataclass(frozen=True)
class NodePlan:
    """How one node mixes its candidates: candidate j·n + o is operation o of n on state j.

    Args:
        weights: Σ_slots input_j·operation_o for each image, [B, E].
        rows_of: for a hard sample, the images of each candidate that was picked (see
            `unas.nn.mixed.routes`).
    """

    weights: Tensor
    rows_of: dict[int, list[int] | None] | None


class DartsSupernet(nn.Module):
    """All architectures of a DARTS space at once (SPEC §4; DARTS, section 2).

    A relaxed sample runs every operation, a hard one only those that were picked.

    Args:
        space: the space.
        num_classes: length of the logits.
        image_channels: channels of the images.
    """

    def __init__(self, space: DartsSpace, num_classes: int, image_channels: int = 3) -> None:
        super().__init__()
        self.operations = OPERATIONS[: space.operations]
        width = 3 * space.channels
        stem = CifarStem if space.stem == "cifar" else ImageNetStem
        self.stem = stem(image_channels, width, searching=True)
        channels = space.channels if space.stem == "cifar" else width
        before, previous, after_reduction = width, width, self.stem.reduces
        self.cells = nn.ModuleList()
        self.kinds: list[str] = []
        for layer in range(space.layers):
            is_reduction = layer in (space.layers // 3, 2 * space.layers // 3)
            channels *= 2 if is_reduction else 1
            cell = Cell(
                self.operations,
                (before, previous),
                channels,
                space.bn,
                is_reduction=is_reduction,
                after_reduction=after_reduction,
            )
            self.cells.append(cell)
            self.kinds.append(KINDS[is_reduction])
            before, previous, after_reduction = previous, NODES * channels, is_reduction
        self.classifier = nn.Linear(previous, num_classes)
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor, sample: Sample) -> Tensor:
        """Return the logits [B, num_classes] of images [B, C, H, W] under G architectures; G divides B."""
        plans = {kind: self._plan(kind, sample, images) for kind in KINDS}
        before, previous = self.stem(images.contiguous(memory_format=torch.channels_last))
        for cell, kind in zip(self.cells, self.kinds, strict=True):
            before, previous = previous, cell(before, previous, plans[kind])
        return self.classifier(previous.mean((2, 3)))  # type: ignore[no-any-return]

    def _plan(self, kind: str, sample: Sample, images: Tensor) -> list[NodePlan]:
        moved, batch = sample.to(images.device), images.shape[0]
        return [
            self._plan_node(f"{kind}/node{node}", moved, batch, images.dtype)
            for node in range(NODES)
        ]

    def _plan_node(self, node: str, sample: Sample, batch: int, dtype: torch.dtype) -> NodePlan:
        slots = [(f"{node}/input{slot}", f"{node}/op{slot}") for slot in (0, 1)]
        pairs = [
            sample[name_in][:, :, None] * sample[name_op][:, None, :] for name_in, name_op in slots
        ]
        weights = spread((pairs[0] + pairs[1]).flatten(1).to(dtype), batch)
        if not sample.is_hard:
            return NodePlan(weights, None)
        picks = zip(*(self._picked(sample, *slot) for slot in slots), strict=True)
        return NodePlan(weights, routes(list(picks), batch))

    def _picked(self, sample: Sample, name_in: str, name_op: str) -> list[int]:
        inputs, operations = sample.picks[name_in], sample.picks[name_op]
        return [j * len(self.operations) + o for j, o in zip(inputs, operations, strict=True)]


class State:
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
        """Return the outcome of operation number o, which has no parameters and so is the same on every edge."""
        if o not in self._outcomes:
            self._outcomes[o] = operation(self.images)
        return self._outcomes[o]


class Edge(nn.ModuleList):
    """All operations between two states."""

    def __init__(
        self, operations: Sequence[str], channels: int, stride: int, bn: BatchNormRows
    ) -> None:
        built = [build_operation(name, channels, stride, searching=True) for name in operations]
        super().__init__(built)
        self._after_relu = [
            list(op)[1:] if isinstance(op, SeparableConv | DilatedConv) else None for op in built
        ]
        self._is_shared = [not any(True for _ in op.parameters()) for op in built]
        self._sees_batch = [bn == "batch" and has_batch_norm(op) for op in built]

    def outcome(self, o: int, state: State, rows: Tensor | None) -> Tensor:
        """Return the outcome of operation number o for all images, or for those in `rows`."""
        operation, layers = self[o], self._after_relu[o]
        if rows is None and self._is_shared[o]:
            return state.outcome(o, operation)
        images = state.images if layers is None else state.active
        if rows is not None and not self._sees_batch[o]:
            images, rows = take(images, rows), None
        for layer in layers or (operation,):
            images = layer(images)
        return images if rows is None else take(images, rows)


class Cell(nn.Module):
    """One cell: preprocessing of its two inputs, then four nodes over all earlier states, concatenated."""

    def __init__(
        self,
        operations: Sequence[str],
        widths: tuple[int, int],
        channels: int,
        bn: BatchNormRows,
        *,
        is_reduction: bool,
        after_reduction: bool,
    ) -> None:
        super().__init__()
        first = FactorizedReduce if after_reduction else ReLUConvBN
        self.preprocess0 = first(widths[0], channels, searching=True)
        self.preprocess1 = ReLUConvBN(widths[1], channels, searching=True)
        self.edges = nn.ModuleList(
            Edge(operations, channels, 2 if is_reduction and state < 2 else 1, bn)
            for node in range(NODES)
            for state in range(node + 2)
        )
        self.num_operations = len(operations)

    def forward(self, before: Tensor, previous: Tensor, plans: Sequence[NodePlan]) -> Tensor:
        """Return the four nodes' states [B, 4·channels, H, W]."""
        states = [State(self.preprocess0(before)), State(self.preprocess1(previous))]
        edges = iter(cast("Iterable[Edge]", self.edges))
        for plan in plans:
            candidates = [
                partial(edge.outcome, o, state)
                for state, edge in zip(
                    tuple(states), edges, strict=False
                )  # as many edges as there are states
                for o in range(self.num_operations)
            ]
            states.append(State(mix(plan.weights, candidates, plan.rows_of)))
        return torch.cat([state.images for state in states[2:]], 1)
