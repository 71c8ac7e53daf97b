"""Where the parts of a cell go in a drawing: layers from left to right, and a row for each node.

No other box stands in a node's row. An edge turns into the row right after its source and then runs
straight along it, so it can cross other edges but never runs through a label or a box.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations

from unas.drawing.cells import NUM_INPUTS, Cell, Edge

LANE = 78  # where edges turn
LABEL_WIDTH = 108
LABEL_HEIGHT = 24
STUB = 20  # from a label to its node
NODE = 44
INPUT_WIDTH = 76
ROW = 74
SLOT = 30
_MOST_PERMUTED = 6


@dataclass(frozen=True)
class Layout:
    """The places of a cell's parts, in pixels from its own upper left corner.

    Args:
        layers: each node's distance from the inputs, from 1.
        rows: each node's row, from 0 at the top.
    """

    layers: tuple[int, ...]
    rows: tuple[int, ...]

    @property
    def width(self) -> float:
        """Width of the inputs and all layers."""
        return INPUT_WIDTH + max(self.layers) * _LAYER

    @property
    def height(self) -> float:
        """Height of all rows."""
        return len(self.rows) * ROW

    def node(self, node: int) -> tuple[float, float]:
        """Return the centre of a node."""
        return INPUT_WIDTH + self.layers[node] * _LAYER - NODE / 2, (self.rows[node] + 0.5) * ROW

    def ordered(self, slots: Iterable[Edge]) -> list[Edge]:
        """Return a node's slots from top to bottom: as their sources stand, so that they don't cross."""
        return sorted(slots, key=lambda edge: self.state(edge.source)[1])

    def state(self, state: int) -> tuple[float, float]:
        """Return where the edges of a state begin: the middle of its right side."""
        if state < NUM_INPUTS:
            return INPUT_WIDTH, self.height * (2 * state + 1) / (2 * NUM_INPUTS)
        x, y = self.node(state - NUM_INPUTS)
        return x + NODE / 2, y


_LAYER = LANE + LABEL_WIDTH + STUB + NODE


def lay_out(cell: Cell) -> Layout:
    """Return the layout of a cell whose edges climb least, of all orders of its nodes."""
    layers: list[int] = []
    for node in range(cell.num_nodes):
        before = [edge.source - NUM_INPUTS for edge in cell.slots(node)]
        layers.append(1 + max(layers[source] if source >= 0 else 0 for source in before))
    orders = (
        permutations(range(cell.num_nodes))
        if cell.num_nodes <= _MOST_PERMUTED
        else [range(cell.num_nodes)]
    )
    layouts = [Layout(tuple(layers), tuple(order)) for order in orders]
    return min(layouts, key=lambda layout: _climb(cell, layout))


def _climb(cell: Cell, layout: Layout) -> float:
    return sum(abs(layout.state(edge.source)[1] - layout.node(edge.node)[1]) for edge in cell.edges)
