"""A genotype read as cells: graphs whose nodes add up a few operations on earlier states."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from unas.architecture.genotype import Genotype

NUM_INPUTS = 2
# The number of a node, a slot or a state. A text of thousands of digits is refused before `int`,
# which raises an error for it.
_NUMBER = "[0-9]{1,6}"
_CHOICE = re.compile(rf"(\w+)/node({_NUMBER})/(input|op)({_NUMBER})")


@dataclass(frozen=True)
class CellEdge:
    """One slot of a node: an operation on an earlier state.

    Args:
        source: the state; 0 and 1 are the cell's inputs, 2 + n is node n.
        node: the node that the outcome is added to.
        operation: the operation's name.
    """

    source: int
    node: int
    operation: str


@dataclass(frozen=True)
class CellGraph:
    """One cell of a genotype.

    Args:
        name: for example "normal".
        edges: all slots, node by node.
    """

    name: str
    edges: tuple[CellEdge, ...]

    @property
    def num_nodes(self) -> int:
        """Return the number of nodes, without the inputs."""
        return 1 + max(edge.node for edge in self.edges)

    def slots(self, node: int) -> tuple[CellEdge, ...]:
        """Return the slots of one node."""
        return tuple(self._edges_of_node.get(node, ()))

    @cached_property
    def _edges_of_node(self) -> dict[int, list[CellEdge]]:
        edges_of_node: dict[int, list[CellEdge]] = {}
        for edge in self.edges:
            edges_of_node.setdefault(edge.node, []).append(edge)
        return edges_of_node


def cells_of(genotype: Genotype) -> tuple[CellGraph, ...]:
    """Return the cells of a genotype; nothing if its choices are no cells but, say, a chain."""
    slots = _read_slots(genotype)
    if slots is None:
        return ()
    edges_of_cell: dict[str, list[CellEdge]] = {}
    for (cell_name, node, _), options in sorted(slots.items()):
        edge = _read_edge(node, options)
        if edge is None:
            return ()
        edges_of_cell.setdefault(cell_name, []).append(edge)
    cells = []
    for cell_name, edges in edges_of_cell.items():
        cell = CellGraph(cell_name, tuple(edges))
        if not _has_every_node(cell):
            return ()
        cells.append(cell)
    return tuple(cells)


def _read_slots(genotype: Genotype) -> dict[tuple[str, int, int], dict[str, str]] | None:
    """Return {(cell, node, slot): {"input": state, "op": operation}}; None for other choices."""
    slots: dict[tuple[str, int, int], dict[str, str]] = {}
    for name, option in genotype.choices.items():
        match = _CHOICE.fullmatch(name)
        if match is None:
            return None
        cell_name, node, kind, slot = match.groups()
        slots.setdefault((cell_name, int(node), int(slot)), {})[kind] = option
    return slots


def _read_edge(node: int, options: dict[str, str]) -> CellEdge | None:
    """Return the edge of a slot, or None if its operation or an earlier state is missing."""
    source = options.get("input", "")
    if "op" not in options or not re.fullmatch(_NUMBER, source):
        return None
    if int(source) >= node + NUM_INPUTS:
        return None
    return CellEdge(int(source), node, options["op"])


def _has_every_node(cell: CellGraph) -> bool:
    """Return whether no number of a node is left out."""
    return all(cell.slots(node) for node in range(cell.num_nodes))


def state_label(state: int) -> str:
    """Return what a state is called: "cell k-2" and "cell k-1" are the two cells before."""
    return f"cell k-{NUM_INPUTS - state}" if state < NUM_INPUTS else f"node {state - NUM_INPUTS}"


def operation_label(operation: str) -> str:
    """Return an operation's name for people: "sep conv 3×3"."""
    return re.sub(r"(\d+)x(\d+)", r"\1×\2", operation).replace("_", " ")


def cell_lines(genotype: Genotype) -> list[tuple[str, str]]:
    """Return one (name, line) for each cell; one line with an empty name if there are no cells."""
    cells = cells_of(genotype)
    if not cells:
        return [("", " ".join(genotype.choices.values()))]
    return [(cell.name, _cell_line(cell)) for cell in cells]


def _cell_line(cell: CellGraph) -> str:
    return "  ".join(_node_line(cell, node) for node in range(cell.num_nodes))


def _node_line(cell: CellGraph, node: int) -> str:
    terms = [f"{edge.operation}({_short_label(edge.source)})" for edge in cell.slots(node)]
    return f"n{node} = {' + '.join(terms)}"


def _short_label(state: int) -> str:
    return f"k-{NUM_INPUTS - state}" if state < NUM_INPUTS else f"n{state - NUM_INPUTS}"
