"""How the cells of a DARTS network follow each other: their widths, and which are reductions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CellShape:
    """One cell of a network.

    Args:
        channels_in: the channels of the cell before the previous one and of the previous one.
        channels: C, the channels of each node.
        nodes: how many nodes it has.
        is_reduction: the cell halves the resolution.
        follows_reduction: the previous cell has half the resolution of the one before it.
    """

    channels_in: tuple[int, int]
    channels: int
    nodes: int
    is_reduction: bool
    follows_reduction: bool

    @property
    def kind(self) -> str:
        """Which of `unas.spaces.darts.choices.CELLS` it is."""
        return "reduction" if self.is_reduction else "normal"

    @property
    def channels_out(self) -> int:
        """The channels of the cell's output: its nodes side by side."""
        return self.nodes * self.channels

    def stride(self, state: int) -> int:
        """Return the stride of operations on a state: 0 and 1 are the inputs, 2 + n is node n."""
        return 2 if self.is_reduction and state < 2 else 1


def cell_shapes(
    layers: int, channels: int, stem_channels: int, *, nodes: int, stem_reduces: bool
) -> list[CellShape]:
    """Return the cells in order; cells L//3 and 2L//3 are reductions, which double the channels.

    Args:
        layers: L, the number of cells.
        channels: C of the first cells.
        stem_channels: the channels of both outputs of the stem.
        nodes: how many nodes a cell has.
        stem_reduces: the stem's second output has half the resolution of its first.
    """
    shapes: list[CellShape] = []
    channels_in = (stem_channels, stem_channels)
    follows_reduction = stem_reduces
    for index in range(layers):
        is_reduction = index in {layers // 3, 2 * layers // 3}
        if is_reduction:
            channels *= 2
        shape = CellShape(channels_in, channels, nodes, is_reduction, follows_reduction)
        shapes.append(shape)
        channels_in = (channels_in[1], shape.channels_out)
        follows_reduction = is_reduction
    return shapes
