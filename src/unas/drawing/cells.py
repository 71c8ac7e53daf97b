"""A genotype read as cells: graphs whose nodes add up a few operations on earlier states."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from unas.architecture.genotype import Genotype

NUM_INPUTS = 2
_NUMBER = "[0-9]{1,6}"  # of a node, a slot or a state; a text of thousands of digits is no int
_CHOICE = re.compile(rf"(\w+)/node({_NUMBER})/(input|op)({_NUMBER})")


@dataclass(frozen=True)
class Edge:
    """One slot of a node: an operation on an earlier state.

    Args:
        source: the state; 0 and 1 are the cell's inputs, 2 + n is node n.
        node: the node that it is added to.
        operation: its name.
    """

    source: int
    node: int
    operation: str


@dataclass(frozen=True)
class Cell:
    """A cell.

    Args:
        name: for example "normal".
        edges: all slots, node by node.
    """

    name: str
    edges: tuple[Edge, ...]

    @property
    def num_nodes(self) -> int:
        """How many nodes it has."""
        return 1 + max(edge.node for edge in self.edges)

    def slots(self, node: int) -> tuple[Edge, ...]:
        """Return the slots of one node."""
        return tuple(self._by_node.get(node, ()))

    @cached_property
    def _by_node(self) -> dict[int, list[Edge]]:
        found: dict[int, list[Edge]] = {}
        for edge in self.edges:
            found.setdefault(edge.node, []).append(edge)
        return found


def cells_of(genotype: Genotype) -> tuple[Cell, ...]:
    """Return the cells of a genotype, or nothing if its choices are no cells but, say, a chain of layers."""
    found: dict[tuple[str, int, int], dict[str, str]] = {}
    for name, option in genotype.choices.items():
        match = _CHOICE.fullmatch(name)
        if match is None:
            return ()
        cell, node, kind, slot = match.groups()
        found.setdefault((cell, int(node), int(slot)), {})[kind] = option
    edges: dict[str, list[Edge]] = {}
    for (cell, node, _), slot in sorted(found.items()):
        source = slot.get("input", "")
        if (
            "op" not in slot
            or not re.fullmatch(_NUMBER, source)
            or int(source) >= node + NUM_INPUTS
        ):
            return ()
        edges.setdefault(cell, []).append(Edge(int(source), node, slot["op"]))
    cells = tuple(Cell(name, tuple(found)) for name, found in edges.items())
    return (
        cells if all(cell.slots(node) for cell in cells for node in range(cell.num_nodes)) else ()
    )


def state_label(state: int) -> str:
    """Return what a state is called: the output of one of the two cells before (k - 2, k - 1), or a node."""
    return f"cell k-{NUM_INPUTS - state}" if state < NUM_INPUTS else f"node {state - NUM_INPUTS}"


def operation_label(operation: str) -> str:
    """Return an operation's name for people: "sep conv 3×3"."""
    return re.sub(r"(\d+)x(\d+)", r"\1×\2", operation).replace("_", " ")


def cell_lines(genotype: Genotype) -> list[tuple[str, str]]:
    """Return the genotype as (name, one line) a cell; as one line with an empty name if it has no cells."""
    cells = cells_of(genotype)
    if not cells:
        return [("", " ".join(genotype.choices.values()))]
    return [
        (cell.name, "  ".join(_node_line(cell, node) for node in range(cell.num_nodes)))
        for cell in cells
    ]


def _node_line(cell: Cell, node: int) -> str:
    inside = " + ".join(f"{edge.operation}({_short(edge.source)})" for edge in cell.slots(node))
    return f"n{node} = {inside}"


def _short(state: int) -> str:
    return f"k-{NUM_INPUTS - state}" if state < NUM_INPUTS else f"n{state - NUM_INPUTS}"
