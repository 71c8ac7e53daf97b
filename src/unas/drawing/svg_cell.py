"""One cell as elements of an SVG."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from unas.common.text import drawable
from unas.drawing.cells import NUM_INPUTS, CellEdge, CellGraph, operation_label, state_label
from unas.drawing.families import family_of
from unas.drawing.layout import (
    INPUT_WIDTH,
    LABEL_HEIGHT,
    LABEL_WIDTH,
    LANE,
    NODE,
    SLOT,
    STUB,
    CellLayout,
    lay_out,
)

# All in pixels.
_OUTPUT_GAP = 46
_OUTPUT_WIDTH = 30
_INPUT_HEIGHT = 34
_LABEL_CHARACTER = 6.8
_LABEL_MARGIN = 8  # left and right of a label's text


def cell_size(cell: CellGraph) -> tuple[float, float]:
    """Return the width and the height of a cell's drawing."""
    layout = lay_out(cell)
    return layout.width + _OUTPUT_GAP + _OUTPUT_WIDTH, layout.height


def draw_cell(cell: CellGraph) -> list[str]:
    """Return the SVG elements of a cell: lines first, boxes upon them."""
    layout = lay_out(cell)
    lines = [_output_line(node, layout) for node in range(cell.num_nodes)]
    boxes = []
    for node in range(cell.num_nodes):
        slots = layout.ordered(cell.slots(node))
        for position, edge in enumerate(slots):
            offset = (position - (len(slots) - 1) / 2) * SLOT
            lines.append(_edge_line(edge, layout, offset))
            boxes.append(_label(edge, layout, offset))
        boxes.append(_node(node, layout))
    boxes += [_input(state, layout) for state in range(NUM_INPUTS)]
    return [*lines, *boxes, _output(layout)]


def _output_line(node: int, layout: CellLayout) -> str:
    x, y = layout.node(node)
    return f'<path class="out" d="M{x:g} {y:g} H{layout.width + _OUTPUT_GAP:g}"/>'


def _edge_line(edge: CellEdge, layout: CellLayout, offset: float) -> str:
    """Return the edge: a turn within the lane after its source, straight on, a bend into its node.

    Args:
        edge: what to draw.
        layout: where the source and the node are.
        offset: how far below the node's middle the edge's label is.
    """
    x, y = layout.state(edge.source)
    node_x, node_y = layout.node(edge.node)
    row = node_y + offset
    lane_end = x + LANE
    stub_start = node_x - NODE / 2 - STUB
    stub_end = stub_start + STUB
    entry = node_y + offset * 0.4  # edges reach their node closer together than their labels are
    path = (
        f"M{x:g} {y:g} "
        f"C{x + LANE / 2:g} {y:g} {lane_end - LANE / 2:g} {row:g} {lane_end:g} {row:g} "
        f"H{stub_start:g} "
        f"C{stub_start + STUB / 2:g} {row:g} {stub_start + STUB / 2:g} {entry:g} "
        f"{stub_end:g} {entry:g}"
    )
    about = quoteattr(f"{state_label(edge.source)} to node {edge.node}: {edge.operation}")
    colour = family_of(edge.operation).line
    title = f"<title>{about[1:-1]}</title>"
    return f'<path class="edge" stroke="{colour}" d="{path}">{title}</path>'


def _label(edge: CellEdge, layout: CellLayout, offset: float) -> str:
    """Return the box with the operation's name, to the left of the node."""
    x, y = layout.node(edge.node)
    left = x - NODE / 2 - STUB - LABEL_WIDTH
    middle = y + offset
    family = family_of(edge.operation)
    return (
        f'<rect x="{left:g}" y="{middle - LABEL_HEIGHT / 2:g}" '
        f'width="{LABEL_WIDTH}" height="{LABEL_HEIGHT}" rx="{LABEL_HEIGHT / 2:g}" '
        f'fill="{family.fill}" stroke="{family.line}"/>'
        f'<text class="middle" x="{left + LABEL_WIDTH / 2:g}" y="{middle:g}" '
        f'style="fill: {family.line}"{_squeezed(operation_label(edge.operation))}</text>'
    )


def _squeezed(label: str) -> str:
    """Return the end of a text element; what is too long for its box is narrowed to fit."""
    room = LABEL_WIDTH - 2 * _LABEL_MARGIN
    if len(label) * _LABEL_CHARACTER <= room:
        return f">{xml_text(label)}"
    return f' textLength="{room}" lengthAdjust="spacingAndGlyphs">{xml_text(label)}'


def _node(node: int, layout: CellLayout) -> str:
    x, y = layout.node(node)
    return (
        f'<rect class="box" x="{x - NODE / 2:g}" y="{y - NODE / 2:g}" '
        f'width="{NODE}" height="{NODE}" rx="12"/>'
        f'<text class="middle cell" x="{x:g}" y="{y:g}">{node}</text>'
    )


def _input(state: int, layout: CellLayout) -> str:
    _, y = layout.state(state)
    return (
        f'<rect class="box" x="1" y="{y - _INPUT_HEIGHT / 2:g}" '
        f'width="{INPUT_WIDTH - 1}" height="{_INPUT_HEIGHT}" rx="10" style="fill: #f5f6f8"/>'
        f'<text class="middle" x="{INPUT_WIDTH / 2:g}" y="{y:g}">'
        f"{xml_text(state_label(state))}</text>"
    )


def _output(layout: CellLayout) -> str:
    left = layout.width + _OUTPUT_GAP
    x = left + _OUTPUT_WIDTH / 2
    y = layout.height / 2
    return (
        f'<rect class="box" x="{left:g}" y="8" width="{_OUTPUT_WIDTH}" '
        f'height="{layout.height - 16:g}" rx="10" style="fill: #f5f6f8"/>'
        f'<text class="middle" x="{x:g}" y="{y:g}" '
        f'transform="rotate(-90 {x:g} {y:g})">concatenate</text>'
    )


def xml_text(text: str) -> str:
    """Return text for XML, which can hold no control characters."""
    return escape(drawable(text))
