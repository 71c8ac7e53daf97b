"""One cell as parts of an SVG."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from unas.drawing.cells import NUM_INPUTS, Cell, Edge, operation_label, state_label
from unas.drawing.families import family_of
from unas.drawing.layout import (
    INPUT_WIDTH,
    LABEL_HEIGHT,
    LABEL_WIDTH,
    LANE,
    NODE,
    SLOT,
    STUB,
    Layout,
    lay_out,
)

_OUTPUT_GAP = 46
_OUTPUT_WIDTH = 30
_INPUT_HEIGHT = 34


def cell_size(cell: Cell) -> tuple[float, float]:
    """Return the width and the height of a cell's drawing."""
    layout = lay_out(cell)
    return layout.width + _OUTPUT_GAP + _OUTPUT_WIDTH, layout.height


def draw_cell(cell: Cell) -> list[str]:
    """Return the SVG elements of a cell: lines first, boxes upon them."""
    layout = lay_out(cell)
    lines, boxes = [], []
    for node in range(cell.num_nodes):
        x, y = layout.node(node)
        lines.append(f'<path class="out" d="M{x:g} {y:g} H{layout.width + _OUTPUT_GAP:g}"/>')
    for node in range(cell.num_nodes):
        slots = layout.ordered(cell.slots(node))
        for position, edge in enumerate(slots):
            offset = (position - (len(slots) - 1) / 2) * SLOT
            lines.append(_line(edge, layout, offset))
            boxes.append(_label(edge, layout, offset))
        boxes.append(_node(node, layout))
    boxes += [_input(state, layout) for state in range(NUM_INPUTS)]
    return [*lines, *boxes, _output(layout)]


def _line(edge: Edge, layout: Layout, offset: float) -> str:
    """Return the edge: a turn within the lane after its source, straight on, a bend into its node."""
    x, y = layout.state(edge.source)
    end_x, end_y = layout.node(edge.node)
    row = end_y + offset
    turn = x + LANE
    stub = end_x - NODE / 2 - STUB
    inside = end_y + offset * 0.4
    path = (
        f"M{x:g} {y:g} C{x + LANE / 2:g} {y:g} {turn - LANE / 2:g} {row:g} {turn:g} {row:g} H{stub:g} "
        f"C{stub + STUB / 2:g} {row:g} {stub + STUB / 2:g} {inside:g} {stub + STUB:g} {inside:g}"
    )
    about = quoteattr(f"{state_label(edge.source)} to node {edge.node}: {edge.operation}")
    colour = family_of(edge.operation).line
    title = f"<title>{about[1:-1]}</title>"
    return f'<path class="edge" stroke="{colour}" d="{path}">{title}</path>'


def _label(edge: Edge, layout: Layout, offset: float) -> str:
    x, y = layout.node(edge.node)
    left, middle = x - NODE / 2 - STUB - LABEL_WIDTH, y + offset
    family = family_of(edge.operation)
    return (
        f'<rect x="{left:g}" y="{middle - LABEL_HEIGHT / 2:g}" width="{LABEL_WIDTH}" height="{LABEL_HEIGHT}" '
        f'rx="{LABEL_HEIGHT / 2:g}" fill="{family.fill}" stroke="{family.line}"/>'
        f'<text class="middle" x="{left + LABEL_WIDTH / 2:g}" y="{middle:g}" style="fill: {family.line}"'
        f"{_squeezed(operation_label(edge.operation))}</text>"
    )


def _squeezed(label: str) -> str:
    """Return the end of a text element; what is too long for its box is narrowed to fit."""
    room = LABEL_WIDTH - 16
    fits = (
        f' textLength="{room}" lengthAdjust="spacingAndGlyphs"' if len(label) * 6.8 > room else ""
    )
    return f"{fits}>{xml_text(label)}"


def _node(node: int, layout: Layout) -> str:
    x, y = layout.node(node)
    return (
        f'<rect class="box" x="{x - NODE / 2:g}" y="{y - NODE / 2:g}" width="{NODE}" height="{NODE}" rx="12"/>'
        f'<text class="middle cell" x="{x:g}" y="{y:g}">{node}</text>'
    )


def _input(state: int, layout: Layout) -> str:
    _, y = layout.state(state)
    return (
        f'<rect class="box" x="1" y="{y - _INPUT_HEIGHT / 2:g}" width="{INPUT_WIDTH - 1}" height="{_INPUT_HEIGHT}" '
        f'rx="10" style="fill: #f5f6f8"/>'
        f'<text class="middle" x="{INPUT_WIDTH / 2:g}" y="{y:g}">{xml_text(state_label(state))}</text>'
    )


def _output(layout: Layout) -> str:
    left, middle = layout.width + _OUTPUT_GAP, layout.height / 2
    x = left + _OUTPUT_WIDTH / 2
    return (
        f'<rect class="box" x="{left:g}" y="8" width="{_OUTPUT_WIDTH}" height="{layout.height - 16:g}" rx="10" '
        f'style="fill: #f5f6f8"/>'
        f'<text class="middle" x="{x:g}" y="{middle:g}" transform="rotate(-90 {x:g} {middle:g})">concatenate</text>'
    )


def xml_text(text: str) -> str:
    """Return text for XML, which can hold no control characters."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))
