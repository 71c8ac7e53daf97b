"""Draw an architecture in a terminal."""

from __future__ import annotations

import sys
from typing import TextIO

from rich.columns import Columns
from rich.console import Console, Group
from rich.padding import Padding
from rich.text import Text

from unas.architecture.genotype import Genotype
from unas.common.text import printable
from unas.drawing.cells import Cell, cells_of, operation_label, state_label
from unas.drawing.families import family_of


def draw_terminal(
    genotype: Genotype, title: str, subtitle: str = "", file: TextIO | None = None
) -> None:
    """Print an architecture: each node of a cell with the operations that flow into it.

    Args:
        genotype: what to draw.
        title: what it is called.
        subtitle: what else to say of it, for example its size.
        file: where to; standard output by default.
    """
    console = Console(file=file or sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = 100
    about = " · ".join(filter(None, (f"{genotype.space} space", subtitle)))
    console.print(Text.assemble((printable(title), "bold"), "  " + printable(about)))
    console.print()
    genotype = _printable(genotype)
    cells = cells_of(genotype)
    console.print(
        Columns([Padding(_cell(cell), (0, 4, 1, 0)) for cell in cells])
        if cells
        else _chain(genotype)
    )
    if cells:
        last = (
            "each node is the sum of its operations; a cell's output is all its nodes, concatenated"
        )
        console.print(Text(last, style="dim"))


def _printable(genotype: Genotype) -> Genotype:
    choices = {printable(name): printable(option) for name, option in genotype.choices.items()}
    return Genotype(genotype.space, choices)


def _cell(cell: Cell) -> Group:
    sources = max(len(state_label(edge.source)) for edge in cell.edges)
    operations = max(len(operation_label(edge.operation)) for edge in cell.edges)
    lines = [Text(f"{cell.name} cell", style="bold underline")]
    for node in range(cell.num_nodes):
        slots = cell.slots(node)
        for position, edge in enumerate(slots):
            label = operation_label(edge.operation)
            line = "─" * (operations - len(label) + 2)
            is_last = position == len(slots) - 1
            joint = (
                "───▶ "
                if len(slots) == 1
                else "┴──▶ "
                if is_last
                else "╮"
                if position == 0
                else "┤"
            )
            style = family_of(edge.operation).terminal
            lines.append(
                Text.assemble(
                    (f"{state_label(edge.source):<{sources}}", "default"),
                    (" ── ", style), (label, f"bold {style}"), (f" {line}", style),
                    (joint, "default"), (f"node {node}" if is_last else "", "bold"),
                )
            )  # fmt: skip
    return Group(*lines)


def _chain(genotype: Genotype) -> Group:
    width = max(len(name) for name in genotype.choices)
    return Group(
        *(
            Text.assemble(
                (f"{name:<{width}}  ", "default"), (option, f"bold {family_of(option).terminal}")
            )
            for name, option in genotype.choices.items()
        )
    )
