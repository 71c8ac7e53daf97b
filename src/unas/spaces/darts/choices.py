"""The choices of the DARTS space by name, and what a genotype says by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unas.architecture.genotype import Genotype

CELLS = ("normal", "reduction")
NODES = 4  # of a cell

Slots = Sequence[tuple[int, str]]


def slot_names(cell: str, node: int) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return the names of a node's choices: ((input, operation), (input, operation))."""
    prefix = f"{cell}/node{node}"
    return ((f"{prefix}/input0", f"{prefix}/op0"), (f"{prefix}/input1", f"{prefix}/op1"))


def cell_choices(operations: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the options of each choice.

    Input "0" is the cell before the previous one, "1" the previous one, and 2 + n is node n.

    Args:
        operations: what each slot may do.
    """
    choices: dict[str, tuple[str, ...]] = {}
    for cell in CELLS:
        for node in range(NODES):
            for input_name, operation_name in slot_names(cell, node):
                choices[input_name] = tuple(str(state) for state in range(node + 2))
                choices[operation_name] = tuple(operations)
    return choices


def cell_slots(genotype: Genotype) -> Mapping[str, Slots]:
    """Return for each cell (input, operation) of its slots, node by node."""
    slots: dict[str, list[tuple[int, str]]] = {cell: [] for cell in CELLS}
    for cell in CELLS:
        for node in range(NODES):
            for input_name, operation_name in slot_names(cell, node):
                state = int(genotype.choices[input_name])
                slots[cell].append((state, genotype.choices[operation_name]))
    return slots
