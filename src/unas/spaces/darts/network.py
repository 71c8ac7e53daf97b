"""The network of one DARTS genotype: what is trained and exported (DARTS, sections 2 and 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from unas.nn.node import NativeLayer, NativeNode
from unas.nn.ops import FactorizedReduce, ReLUConvBN, build_operation
from unas.spaces.darts.chain import CellShape, cell_shapes
from unas.spaces.darts.choices import Slots
from unas.spaces.darts.ends import AuxiliaryHead, CifarStem, ImageNetStem


class DartsCell(nn.Module):
    """N nodes, each the sum of two slots: two states [B, C', H', W'] to [B, N·C, H, W].

    Args:
        slots: (input, operation) of the two slots of each node in order; input 0 is
            `before_previous`, 1 is `previous`, 2 + n is node n.
        shape: the cell's channels and strides.
    """

    def __init__(self, slots: Slots, shape: CellShape) -> None:
        super().__init__()
        channels = shape.channels
        preprocess = FactorizedReduce if shape.follows_reduction else ReLUConvBN
        self.preprocess0 = preprocess(shape.channels_in[0], channels, searching=False)
        self.preprocess1 = ReLUConvBN(shape.channels_in[1], channels, searching=False)
        self.inputs = tuple(state for state, _ in slots)
        self._native_inputs = [
            NativeLayer(self.preprocess0, shape.channels_in[0], channels),
            NativeLayer(self.preprocess1, shape.channels_in[1], channels),
        ]
        self.operations = nn.ModuleList(
            build_operation(name, channels, shape.stride(state), searching=False)
            for state, name in slots
        )
        self._native_nodes = []
        for node in range(len(slots) // 2):
            self._native_nodes.append(self._native_node(node, shape))

    def _native_node(self, node: int, shape: CellShape) -> NativeNode:
        """Return the two slots of a node as one, on the states that they need."""
        states = self._states_of(node)
        slots = (2 * node, 2 * node + 1)
        operations = [(states.index(self.inputs[s]), self.operations[s]) for s in slots]
        return NativeNode(operations, shape.channels, [shape.stride(state) for state in states])

    def _states_of(self, node: int) -> list[int]:
        return sorted({self.inputs[2 * node], self.inputs[2 * node + 1]})

    @property
    def num_droppable(self) -> int:
        """How many slots drop-path applies to: all but the identities."""
        return sum(not isinstance(operation, nn.Identity) for operation in self.operations)

    def forward(
        self, before_previous: Tensor, previous: Tensor, scales: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Return the nodes side by side.

        Args:
            before_previous: the output of the cell before the previous one.
            previous: the output of the previous cell.
            scales: what drop-path multiplies each droppable slot with, [B, 1, 1, 1] each; None for
                no drop-path.
        """
        if not self.training:  # a network in evaluation is plain, for traces and exporters
            states = [self.preprocess0(before_previous), self.preprocess1(previous)]
        else:
            images = (before_previous, previous)
            states = [layer.run(x) for layer, x in zip(self._native_inputs, images, strict=True)]
        remaining_scales = iter(scales or ())
        for node in range(len(self.operations) // 2):
            scale_of: list[Tensor | None] = []
            for operation in self.operations[2 * node : 2 * node + 2]:
                is_dropped = scales is not None and not isinstance(operation, nn.Identity)
                scale_of.append(next(remaining_scales) if is_dropped else None)
            states.append(self._node(node, states, scale_of))
        return torch.cat(states[2:], 1)

    def _node(
        self, node: int, states: Sequence[Tensor], scale_of: Sequence[Tensor | None]
    ) -> Tensor:
        """Return the sum of a node's two slots, each times its scale [B, 1, 1, 1] if it has one."""
        if self.training:
            native = self._native_nodes[node]
            inputs = [states[j] for j in self._states_of(node)]
            ones = inputs[0].new_ones(len(inputs[0]))
            columns = [ones if scale is None else scale.view(-1) for scale in scale_of]
            weights = torch.stack(columns, 1).to(inputs[0].dtype)
            if native.runs(inputs, weights):
                return native(inputs, weights, None)
        outcomes: list[Tensor] = []
        for slot, scale in zip((2 * node, 2 * node + 1), scale_of, strict=True):
            outcome = self.operations[slot](states[self.inputs[slot]])
            outcomes.append(outcome if scale is None else outcome * scale.to(outcome.dtype))
        return outcomes[0] + outcomes[1]


class DartsNetwork(nn.Module):
    """The network of one pair of cells: images [B, C_in, H, W] to logits [B, num_classes].

    In training mode with an auxiliary head it returns (logits, auxiliary_logits). Drop-path draws
    from PyTorch's default generator of the images' device.

    Args:
        cells: the slots of the "normal" and the "reduction" cell; see `DartsCell`.
        num_classes: how many classes the network tells apart.
        image_channels: channels of an image.
        channels: C, the channels of the first cells; even.
        layers: L, the number of cells; cells L//3 and 2L//3 are reductions.
        stem: "cifar" or "imagenet".
        auxiliary: add an auxiliary head after cell 2L//3.
        drop_path: the probability of dropping a slot at the end of training.
    """

    def __init__(
        self,
        cells: Mapping[str, Slots],
        num_classes: int,
        image_channels: int,
        *,
        channels: int,
        layers: int,
        stem: str,
        auxiliary: bool,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.drop_probability = 0.0
        is_imagenet = stem == "imagenet"
        stem_channels = channels if is_imagenet else 3 * channels
        stem_class = ImageNetStem if is_imagenet else CifarStem
        self.stem = stem_class(image_channels, stem_channels, searching=False)
        self.cells = nn.ModuleList()
        self.auxiliary_at = 2 * layers // 3
        self.auxiliary: AuxiliaryHead | None = None
        shapes = cell_shapes(
            layers,
            channels,
            stem_channels,
            nodes=len(cells["normal"]) // 2,
            stem_reduces=self.stem.reduces,
        )
        for index, shape in enumerate(shapes):
            self.cells.append(DartsCell(cells[shape.kind], shape))
            if auxiliary and index == self.auxiliary_at:
                stride = 2 if is_imagenet else 3
                self.auxiliary = AuxiliaryHead(shape.channels_out, num_classes, stride=stride)
        self.classifier = nn.Linear(shapes[-1].channels_out, num_classes)

    def set_progress(self, fraction: float) -> None:
        """Say how much of the training is done, from 0 to 1: drop-path grows with it."""
        self.drop_probability = self.drop_path * fraction

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return the logits, and in training with an auxiliary head also the auxiliary logits."""
        before_previous, previous = self.stem(images)
        scales = self._drop_path_scales(images)
        auxiliary_logits = None
        for index, (cell, cell_scales) in enumerate(zip(self.cells, scales, strict=True)):
            before_previous, previous = previous, cell(before_previous, previous, cell_scales)
            if self.training and self.auxiliary is not None and index == self.auxiliary_at:
                auxiliary_logits = self.auxiliary(previous)
        logits = self.classifier(previous.mean((2, 3)))
        return logits if auxiliary_logits is None else (logits, auxiliary_logits)

    def _drop_path_scales(self, images: Tensor) -> list[Sequence[Tensor] | None]:
        """Return for each cell what multiplies its slots.

        That is 0 for a slot that is dropped, else 1 / (1 - probability). One draw serves the whole
        network, which on a GPU saves a kernel launch a slot.
        """
        if not self.training or self.drop_path == 0:
            return [None] * len(self.cells)
        counts = [cell.num_droppable for cell in self.cells if isinstance(cell, DartsCell)]
        draw = torch.rand(sum(counts), len(images), 1, 1, 1, device=images.device)
        kept = (draw >= self.drop_probability).float() / (1 - self.drop_probability)
        return [cell_scales.unbind() for cell_scales in torch.split(kept, counts)]
