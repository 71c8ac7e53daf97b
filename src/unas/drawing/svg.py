"""Draw an architecture as an SVG file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from unas.architecture.genotype import Genotype
from unas.drawing.cells import CellGraph, cells_of, operation_label
from unas.drawing.families import FAMILIES, OTHER, Family, family_of
from unas.drawing.svg_cell import cell_size, draw_cell, xml_text

# All in pixels.
MARGIN = 32
_LEAST_WIDTH = 620
_HEADER = 64  # height of the title and the subtitle
_CELL_TITLE = 34  # height of a cell's name
_CELL_GAP = 8  # below a cell
_LEGEND = 36  # height of the legend
_LEGEND_CHARACTER = 6.8
_LEGEND_GAP = 58
_CHAIN_ROW = 28  # from the middle of a choice to that of the next
_CHAIN_CHARACTER = 7.5
_CHAIN_GAP = 24
_PILL = 22  # height of the box around a chosen option

_STYLE = """
text { font-family: system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; \
font-size: 12px; fill: #1d2430 }
.title { font-size: 19px; font-weight: 650 }
.quiet { fill: #5b6573 }
.cell { font-size: 14px; font-weight: 650 }
.middle { text-anchor: middle; dominant-baseline: central }
.edge { fill: none; stroke-width: 2; stroke-linecap: round }
.card { fill: #ffffff; stroke: #d9dde3 }
.box { fill: #ffffff; stroke: #1d2430; stroke-width: 1.5 }
.out { fill: none; stroke: #c3c9d2; stroke-width: 2 }
"""


@dataclass(frozen=True)
class _Block:
    """SVG elements, and the pixels that they take up from the upper left corner on."""

    elements: list[str]
    width: float
    height: float


def draw_svg(genotype: Genotype, title: str, subtitle: str = "") -> str:
    """Return an SVG document: the cells of a genotype, one below the other, or its choices.

    It stands on a white card of its own, so that it can be read on any background.

    Args:
        genotype: what to draw.
        title: what the architecture is called.
        subtitle: what else to say of it, for example its size.
    """
    cells = cells_of(genotype)
    body = _cells(cells) if cells else _chain(genotype)
    width = max(body.width, _LEAST_WIDTH) + 2 * MARGIN
    height = body.height + _HEADER + MARGIN
    about = f"{genotype.space} space"
    if subtitle:
        about += f" · {subtitle}"
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img">',
        f"<title>{xml_text(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" '
        f'width="{width - 1:g}" height="{height - 1:g}" rx="14"/>',
        f'<text class="title" x="{MARGIN}" y="40">{xml_text(title)}</text>',
        f'<text class="quiet" x="{MARGIN}" y="61">{xml_text(about)}</text>',
        f'<g transform="translate({MARGIN} {_HEADER})">',
        *body.elements,
        "</g>",
        "</svg>\n",
    ])  # fmt: skip


def _cells(cells: tuple[CellGraph, ...]) -> _Block:
    elements: list[str] = []
    width = 0.0
    top = 0.0
    for cell in cells:
        elements += [
            f'<text class="cell" x="0" y="{top + 30:g}">{xml_text(cell.name)} cell</text>',
            f'<g transform="translate(0 {top + _CELL_TITLE:g})">',
            *draw_cell(cell),
            "</g>",
        ]
        cell_width, cell_height = cell_size(cell)
        width = max(width, cell_width)
        top += _CELL_TITLE + cell_height + _CELL_GAP
    legend = _legend(_families_of(cells), top + _LEGEND / 2)
    return _Block(elements + legend.elements, max(width, legend.width), top + _LEGEND)


def _families_of(cells: tuple[CellGraph, ...]) -> list[Family]:
    """Return the families of the cells' operations, in the order of the legend."""
    used: set[Family] = set()
    for cell in cells:
        used.update(family_of(edge.operation) for edge in cell.edges)
    return [family for family in (*FAMILIES, OTHER) if family in used]


def _legend(families: Iterable[Family], y: float) -> _Block:
    """Return a row with each family's colours and label, whose middle is at `y`."""
    elements = []
    x = 0.0
    for family in families:
        elements += [
            f'<rect x="{x:g}" y="{y - 6:g}" width="18" height="12" rx="6" '
            f'fill="{family.fill}" stroke="{family.line}"/>',
            f'<text class="quiet" x="{x + 26:g}" y="{y:g}" '
            f'dominant-baseline="central">{xml_text(family.label)}</text>',
        ]
        x += len(family.label) * _LEGEND_CHARACTER + _LEGEND_GAP
    return _Block(elements, x, _LEGEND)


def _chain(genotype: Genotype) -> _Block:
    """Return a row for each choice: its name, and its option in a box."""
    name_width = _column_width(genotype.choices.keys())
    option_width = _column_width(genotype.choices.values())
    elements = []
    y = 0
    for name, option in genotype.choices.items():
        y += _CHAIN_ROW
        family = family_of(option)
        elements += [
            f'<text class="quiet" x="0" y="{y}" '
            f'dominant-baseline="central">{xml_text(name)}</text>',
            f'<rect x="{name_width:g}" y="{y - _PILL / 2:g}" '
            f'width="{option_width:g}" height="{_PILL}" rx="{_PILL / 2:g}" '
            f'fill="{family.fill}" stroke="{family.line}"/>',
            f'<text class="middle" x="{name_width + option_width / 2:g}" y="{y}" '
            f'style="fill: {family.line}">{xml_text(operation_label(option))}</text>',
        ]
    return _Block(elements, name_width + option_width, y + _CHAIN_ROW)


def _column_width(texts: Iterable[str]) -> float:
    return max(len(text) for text in texts) * _CHAIN_CHARACTER + _CHAIN_GAP
