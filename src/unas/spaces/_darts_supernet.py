"""The supernet of the DARTS space: every operation on every edge, shared by all architectures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from unas.nn.mixed import BatchNormRows, has_batch_norm, mix, routes, spread, take
from unas.nn.ops import OPERATIONS, FactorizedReduce, ReLUConvBN, build_operation
from unas.policy import Sample
from unas.spaces._darts_ends import CifarStem, ImageNetStem

if TYPE_CHECKING:
    from unas.spaces.darts import DartsSpace

NODES = 4
KINDS = ("normal", "reduction")


@dataclass(frozen=True)
class NodePlan:
    """How one node mixes its candidates: candidate j·n + o is operation o of n on state j.

    Args:
        weights: Σ_slots input_j·operation_o for each image, [B, E].
        rows_of: for a hard sample, the images of each candidate that was picked (see `unas.nn.mixed.routes`).
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
            cell = SupernetCell(self.operations, before, previous, channels, is_reduction, after_reduction, space.bn)
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
        return [self._plan_node(f"{kind}/node{node}", moved, batch, images.dtype) for node in range(NODES)]

    def _plan_node(self, node: str, sample: Sample, batch: int, dtype: torch.dtype) -> NodePlan:
        slots = [(f"{node}/input{slot}", f"{node}/op{slot}") for slot in (0, 1)]
        pairs = [sample[name_in][:, :, None] * sample[name_op][:, None, :] for name_in, name_op in slots]
        weights = spread((pairs[0] + pairs[1]).flatten(1).to(dtype), batch)
        if not sample.is_hard:
            return NodePlan(weights, None)
        picks = zip(*(self._picked(sample, *slot) for slot in slots), strict=True)
        return NodePlan(weights, routes(list(picks), batch))

    def _picked(self, sample: Sample, name_in: str, name_op: str) -> list[int]:
        inputs, operations = sample.picks[name_in], sample.picks[name_op]
        return [j * len(self.operations) + o for j, o in zip(inputs, operations, strict=True)]


class SupernetCell(nn.Module):
    """One cell: preprocessing of its two inputs, then four nodes over all earlier states, concatenated."""

    def __init__(
        self,
        operations: Sequence[str],
        channels_before: int,
        channels_previous: int,
        channels: int,
        is_reduction: bool,
        after_reduction: bool,
        bn: BatchNormRows,
    ) -> None:
        super().__init__()
        first = FactorizedReduce if after_reduction else ReLUConvBN
        self.preprocess0 = first(channels_before, channels, searching=True)
        self.preprocess1 = ReLUConvBN(channels_previous, channels, searching=True)
        edges = [
            [
                build_operation(name, channels, 2 if is_reduction and state < 2 else 1, searching=True)
                for name in operations
            ]
            for node in range(NODES)
            for state in range(node + 2)
        ]
        self.edges = nn.ModuleList(nn.ModuleList(edge) for edge in edges)
        self.num_operations = len(operations)
        # A pooled or passed-on state is the same for every edge that leaves it, so it is computed once.
        self._is_shared = [[not any(True for _ in op.parameters()) for op in edge] for edge in edges]
        self._sees_batch = [[bn == "batch" and has_batch_norm(op) for op in edge] for edge in edges]

    def forward(self, before: Tensor, previous: Tensor, plans: Sequence[NodePlan]) -> Tensor:
        """Return the four nodes' states [B, 4·channels, H, W]."""
        states = [self.preprocess0(before), self.preprocess1(previous)]
        shared: dict[tuple[int, int], Tensor] = {}
        for node, plan in enumerate(plans):
            candidates = [
                partial(self._outcome, states, shared, edge, state, o)
                for state, edge in enumerate(range(node * (node + 3) // 2, (node + 1) * (node + 4) // 2))
                for o in range(self.num_operations)
            ]
            states.append(mix(plan.weights, candidates, plan.rows_of))
        return torch.cat(states[2:], 1)

    def _outcome(
        self,
        states: Sequence[Tensor],
        shared: dict[tuple[int, int], Tensor],
        edge: int,
        state: int,
        o: int,
        rows: Tensor | None,
    ) -> Tensor:
        operation: nn.Module = cast("nn.ModuleList", self.edges[edge])[o]
        images = states[state]
        if rows is not None:
            return (
                take(operation(images), rows)
                if self._sees_batch[edge][o]
                else cast("Tensor", operation(take(images, rows)))
            )
        if not self._is_shared[edge][o]:
            return cast("Tensor", operation(images))
        if (state, o) not in shared:
            shared[state, o] = operation(images)
        return shared[state, o]
