"""Where the parts of a cell go in a drawing: layers from left to right, and a row for each node.

No other box stands in a node's row. An edge turns into the row right after its source and then runs
straight along it, so it can cross other edges but never runs through a label or a box.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import permutations

from unas.drawing.cells import NUM_INPUTS, CellEdge, CellGraph

# All in pixels.
LANE = 78  # width of the strip where edges turn
LABEL_WIDTH = 108
LABEL_HEIGHT = 24
STUB = 20  # from a label to its node
NODE = 44  # width and height of a node
INPUT_WIDTH = 76
ROW = 74  # from the middle of a row to that of the next
SLOT = 30  # from the middle of a label to that of the next
_LAYER = LANE + LABEL_WIDTH + STUB + NODE

_MOST_PERMUTED = 6  # nodes; all orders of more would take too long


@dataclass(frozen=True)
class CellLayout:
    """The places of a cell's parts, in pixels from the cell's upper left corner.

    Args:
        layers: each node's distance from the inputs, from 1.
        rows: each node's row, from 0 at the top.
    """

    layers: tuple[int, ...]
    rows: tuple[int, ...]

    @property
    def width(self) -> float:
        """Return the width of the inputs and all layers."""
        return INPUT_WIDTH + max(self.layers) * _LAYER

    @property
    def height(self) -> float:
        """Return the height of all rows."""
        return len(self.rows) * ROW

    def node(self, node: int) -> tuple[float, float]:
        """Return the centre of a node, (x, y)."""
        x = INPUT_WIDTH + self.layers[node] * _LAYER - NODE / 2
        y = (self.rows[node] + 0.5) * ROW
        return x, y

    def state(self, state: int) -> tuple[float, float]:
        """Return where the edges of a state begin, (x, y): the middle of its right side."""
        if state < NUM_INPUTS:
            return INPUT_WIDTH, self.height * (2 * state + 1) / (2 * NUM_INPUTS)
        x, y = self.node(state - NUM_INPUTS)
        return x + NODE / 2, y

    def ordered(self, slots: Iterable[CellEdge]) -> list[CellEdge]:
        """Return a node's slots from top to bottom as their sources stand, so that none cross."""
        return sorted(slots, key=lambda edge: self.state(edge.source)[1])


def lay_out(cell: CellGraph) -> CellLayout:
    """Return the layout of a cell whose edges climb least, of all orders of its nodes."""
    layers = _layers(cell)
    orders: Iterable[Iterable[int]] = [range(cell.num_nodes)]
    if cell.num_nodes <= _MOST_PERMUTED:
        orders = permutations(range(cell.num_nodes))
    layouts = [CellLayout(layers, tuple(order)) for order in orders]
    return min(layouts, key=lambda layout: _climb(cell, layout))


def _layers(cell: CellGraph) -> tuple[int, ...]:
    """Return each node's layer: the one after those of all its sources; inputs are in layer 0."""
    layer_of_state = [0] * NUM_INPUTS
    for node in range(cell.num_nodes):
        sources = [edge.source for edge in cell.slots(node)]
        layer_of_state.append(1 + max(layer_of_state[source] for source in sources))
    return tuple(layer_of_state[NUM_INPUTS:])


def _climb(cell: CellGraph, layout: CellLayout) -> float:
    """Return how far all edges go up or down, together."""
    total = 0.0
    for edge in cell.edges:
        _, source_y = layout.state(edge.source)
        _, node_y = layout.node(edge.node)
        total += abs(source_y - node_y)
    return total
