"""Draw an architecture in a terminal."""

from __future__ import annotations

from typing import TextIO

from rich.columns import Columns
from rich.console import Group
from rich.padding import Padding
from rich.text import Text

from unas.architecture.genotype import Genotype
from unas.common.text import printable
from unas.drawing.cells import CellGraph, cells_of, operation_label, state_label
from unas.drawing.console import ResultConsole
from unas.drawing.families import family_of

_WIDTH_OF_FILES = 100  # characters
_EXPLANATION = (
    "each node is the sum of its operations; a cell's output is all its nodes, concatenated"
)


def draw_terminal(
    genotype: Genotype, title: str, subtitle: str = "", file: TextIO | None = None
) -> None:
    """Print an architecture: each node of a cell with the operations that flow into it.

    Args:
        genotype: what to draw.
        title: what the architecture is called.
        subtitle: what else to say of it, for example its size.
        file: where to print; standard output by default.
    """
    console = ResultConsole(file, _WIDTH_OF_FILES)
    about = f"{genotype.space} space"
    if subtitle:
        about += f" · {subtitle}"
    console.print(Text.assemble((printable(title), "bold"), "  ", printable(about)))
    console.print()
    genotype = _printable(genotype)
    cells = cells_of(genotype)
    if not cells:
        console.print(_chain(genotype))
        return
    # Cells stand side by side where the terminal is wide enough.
    console.print(Columns([Padding(_cell(cell), (0, 4, 1, 0)) for cell in cells]))
    console.print(Text(_EXPLANATION, style="dim"))


def _printable(genotype: Genotype) -> Genotype:
    choices = {printable(name): printable(option) for name, option in genotype.choices.items()}
    return Genotype(genotype.space, choices)


def _cell(cell: CellGraph) -> Group:
    """Return a line for each slot; the lines of a node join on their right."""
    source_width = max(len(state_label(edge.source)) for edge in cell.edges)
    operation_width = max(len(operation_label(edge.operation)) for edge in cell.edges)
    lines = [Text(f"{cell.name} cell", style="bold underline")]
    for node in range(cell.num_nodes):
        slots = cell.slots(node)
        for position, edge in enumerate(slots):
            is_last = position == len(slots) - 1
            source = state_label(edge.source).ljust(source_width)
            label = operation_label(edge.operation)
            line = "─" * (operation_width - len(label) + 2)
            style = family_of(edge.operation).terminal
            lines.append(
                Text.assemble(
                    (source, "default"),
                    (" ── ", style),
                    (label, f"bold {style}"),
                    (f" {line}", style),
                    (_joint(position, len(slots)), "default"),
                    (f"node {node}" if is_last else "", "bold"),
                )
            )
    return Group(*lines)


def _joint(position: int, num_slots: int) -> str:
    """Return the right end of a slot's line; the last one of a node points at it."""
    if num_slots == 1:
        return "───▶ "
    if position == num_slots - 1:
        return "┴──▶ "
    return "╮" if position == 0 else "┤"


def _chain(genotype: Genotype) -> Group:
    """Return a line for each choice."""
    width = max(len(name) for name in genotype.choices)
    lines = []
    for name, option in genotype.choices.items():
        style = f"bold {family_of(option).terminal}"
        lines.append(Text.assemble((f"{name:<{width}}  ", "default"), (option, style)))
    return Group(*lines)
