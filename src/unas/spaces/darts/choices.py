"""The choices of the DARTS space by name, and what a genotype says by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from unas.architecture.genotype import Genotype
from unas.nn.ops import OPERATIONS

CELLS = ("normal", "reduction")
NODES = 4  # of a cell, as published
MAX_NODES = 16
_CHOICES_OF_NODE = 8  # an input and an operation of two slots in both cells

Slots = Sequence[tuple[int, str]]


def slot_names(cell: str, node: int) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the names of a node's choices: ((input, operation), (input, operation))."""
    prefix = f"{cell}/node{node}"
    return ((f"{prefix}/input0", f"{prefix}/op0"), (f"{prefix}/input1", f"{prefix}/op1"))


def cell_choices(operations: Sequence[str], nodes: int = NODES) -> dict[str, tuple[str, ...]]:
    """Return the options of each choice.

    Input "0" is the cell before the previous one, "1" the previous one, and 2 + n is node n.

    Args:
        operations: what each slot may do.
        nodes: how many nodes a cell has.
    """
    choices: dict[str, tuple[str, ...]] = {}
    for cell in CELLS:
        for node in range(nodes):
            for input_name, operation_name in slot_names(cell, node):
                choices[input_name] = tuple(str(state) for state in range(node + 2))
                choices[operation_name] = tuple(operations)
    return choices


def nodes_of(names: Iterable[str]) -> int:
    """Return how many nodes a cell has whose choices have these names, by their number.

    A name too many or too few makes no difference, so that it is what an error is about.
    """
    known = cell_choices(OPERATIONS, MAX_NODES).keys() & set(names)
    return round(len(known) / _CHOICES_OF_NODE) or NODES


def cell_slots(genotype: Genotype) -> Mapping[str, Slots]:
    """Return for each cell (input, operation) of its slots, node by node."""
    slots: dict[str, list[tuple[int, str]]] = {cell: [] for cell in CELLS}
    for cell in CELLS:
        for node in range(nodes_of(genotype.choices)):
            for input_name, operation_name in slot_names(cell, node):
                state = int(genotype.choices[input_name])
                slots[cell].append((state, genotype.choices[operation_name]))
    return slots
