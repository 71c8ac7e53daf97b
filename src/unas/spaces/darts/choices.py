"""The choices of the DARTS space by name, and what a genotype says by them."""

from __future__ import annotations

from collections.abc import Sequence

from unas.architecture.genotype import Genotype

CELLS = ("normal", "reduction")
NODES = 4


def cell_choices(operations: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the options of each choice; input "0" is the cell before the previous one, "1" the previous, 2 + n node n.

    Args:
        operations: what each slot may do.
    """
    found: dict[str, tuple[str, ...]] = {}
    for cell in CELLS:
        for node in range(NODES):
            for slot in (0, 1):
                found[f"{cell}/node{node}/input{slot}"] = tuple(
                    str(state) for state in range(node + 2)
                )
                found[f"{cell}/node{node}/op{slot}"] = tuple(operations)
    return found


def cell_slots(genotype: Genotype) -> dict[str, tuple[tuple[int, str], ...]]:
    """Return for each cell (input, operation) of its slots, node by node."""
    choices = genotype.choices
    return {
        cell: tuple(
            (int(choices[f"{cell}/node{node}/input{slot}"]), choices[f"{cell}/node{node}/op{slot}"])
            for node in range(NODES)
            for slot in (0, 1)
        )
        for cell in CELLS
    }
