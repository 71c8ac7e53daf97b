"""Draw an architecture as an SVG file."""

from __future__ import annotations

from unas.architecture.genotype import Genotype
from unas.drawing.cells import Cell, cells_of, operation_label
from unas.drawing.families import FAMILIES, OTHER, Family, family_of
from unas.drawing.svg_cell import cell_size, draw_cell, xml_text

MARGIN = 32
_HEADER = 64
_CELL_TITLE = 34
_LEGEND = 36
_LEGEND_CHARACTER, _LEGEND_GAP = 6.8, 58
_LEAST_WIDTH = 620
_CHAIN_ROW, _PILL = 28, 22
_STYLE = """
text { font-family: system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif; font-size: 12px; fill: #1d2430 }
.title { font-size: 19px; font-weight: 650 }
.quiet { fill: #5b6573 }
.cell { font-size: 14px; font-weight: 650 }
.middle { text-anchor: middle; dominant-baseline: central }
.edge { fill: none; stroke-width: 2; stroke-linecap: round }
.card { fill: #ffffff; stroke: #d9dde3 }
.box { fill: #ffffff; stroke: #1d2430; stroke-width: 1.5 }
.out { fill: none; stroke: #c3c9d2; stroke-width: 2 }
"""


def draw_svg(genotype: Genotype, title: str, subtitle: str = "") -> str:
    """Return an SVG document: the cells of a genotype one below the other, or a list of its choices.

    It stands on a white card of its own, so that it can be read on any background.

    Args:
        genotype: what to draw.
        title: its name.
        subtitle: what else to say of it, for example its size.
    """
    cells = cells_of(genotype)
    body, width, height = _cells(cells) if cells else _chain(genotype)
    width = max(width, _LEAST_WIDTH) + 2 * MARGIN
    height += _HEADER + MARGIN
    says = " · ".join(part for part in (f"{genotype.space} space", subtitle) if part)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img">',
        f"<title>{xml_text(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" rx="14"/>',
        f'<text class="title" x="{MARGIN}" y="40">{xml_text(title)}</text>',
        f'<text class="quiet" x="{MARGIN}" y="61">{xml_text(says)}</text>',
        f'<g transform="translate({MARGIN} {_HEADER})">',
        *body,
        "</g>",
        "</svg>\n",
    ])  # fmt: skip


def _cells(cells: tuple[Cell, ...]) -> tuple[list[str], float, float]:
    body: list[str] = []
    top, width = 0.0, 0.0
    for cell in cells:
        body += [
            f'<text class="cell" x="0" y="{top + 30:g}">{xml_text(cell.name)} cell</text>',
            f'<g transform="translate(0 {top + _CELL_TITLE:g})">',
            *draw_cell(cell),
            "</g>",
        ]
        cell_width, cell_height = cell_size(cell)
        width = max(width, cell_width)
        top += _CELL_TITLE + cell_height + 8
    used = {family_of(edge.operation) for cell in cells for edge in cell.edges}
    families = [family for family in (*FAMILIES, OTHER) if family in used]
    legend, legend_width = _legend(families, top + _LEGEND / 2)
    return body + legend, max(width, legend_width), top + _LEGEND


def _legend(families: list[Family], y: float) -> tuple[list[str], float]:
    """Return the elements of the legend, and its width."""
    parts, x = [], 0.0
    for family in families:
        colours = f'fill="{family.fill}" stroke="{family.line}"'
        parts += [
            f'<rect x="{x:g}" y="{y - 6:g}" width="18" height="12" rx="6" {colours}/>',
            f'<text class="quiet" x="{x + 26:g}" y="{y:g}" dominant-baseline="central">{xml_text(family.label)}</text>',
        ]
        x += len(family.label) * _LEGEND_CHARACTER + _LEGEND_GAP
    return parts, x


def _chain(genotype: Genotype) -> tuple[list[str], float, float]:
    names = max(len(name) for name in genotype.choices) * 7.5 + 24
    options = max(len(option) for option in genotype.choices.values()) * 7.5 + 24
    body = []
    for position, (name, option) in enumerate(genotype.choices.items()):
        y = (position + 1) * _CHAIN_ROW
        family = family_of(option)
        body += [
            f'<text class="quiet" x="0" y="{y}" dominant-baseline="central">{xml_text(name)}</text>',
            f'<rect x="{names:g}" y="{y - _PILL / 2:g}" width="{options:g}" height="{_PILL}" rx="{_PILL / 2:g}" '
            f'fill="{family.fill}" stroke="{family.line}"/>',
            f'<text class="middle" x="{names + options / 2:g}" y="{y}" style="fill: {family.line}">'
            f"{xml_text(operation_label(option))}</text>",
        ]
    return body, names + options, (len(genotype.choices) + 1) * _CHAIN_ROW
