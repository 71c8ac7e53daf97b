"""The architecture that was found, as a drawing and as text."""

from __future__ import annotations

import base64

from unas.architecture.genotype import Genotype
from unas.common.text import drawable, readable_count, readable_size
from unas.drawing import cell_lines, draw_svg
from unas.report.markup import Markup, element
from unas.report.parts import missing, pairs, scroll, section
from unas.report.run_data import RunData
from unas.report.stage import next_step
from unas.runs.names import ONNX, WEIGHTS

MAX_CHOICES = 400
_LONGEST = 100  # characters of a name


def draw(run: RunData, level: int) -> Markup:
    """Return the section."""
    title = "Architecture"
    if run.genotype is None:
        return section(title, level, missing(_why_none(run)))
    rows: list[tuple[str, str]] = []
    for name, line in cell_lines(_clean(run.genotype)):
        rows.append((f"{name} cell" if name else "choices", _nodes(line)))
    share = run.summary.number("skip_share")
    if share is not None:
        rows.append(("skip connections", f"{100 * share:.0f} % of the choices that can be one"))
    rows += _files(run)
    words = element("div", pairs("The same in words, and its files", rows))
    return section(title, level, element("div", _drawing(run.genotype, run), words, class_="sides"))


def _why_none(run: RunData) -> str:
    genotype = run.config.text("genotype")
    if genotype:
        return f"It was to be {genotype}."
    return "None is chosen yet."


def _nodes(line: str) -> Markup:
    """Return a cell's line with each of its nodes on a line of its own."""
    nodes = [element("div", node) for node in line.split("  ")]
    return element("div", *nodes)


def _drawing(genotype: Genotype, run: RunData) -> Markup:
    """Return the drawing as an image of its own, so that its style stays in there."""
    if len(genotype.choices) > MAX_CHOICES:
        return missing(
            f"It has {len(genotype.choices):,} choices, too many to draw; `unas show` lists them."
        )
    parameters = run.summary.number("parameters")
    subtitle = "" if parameters is None else f"{readable_count(parameters)} parameters"
    document = draw_svg(_clean(genotype), _label(run.name), subtitle)
    encoded = base64.b64encode(document.encode()).decode()
    # Markup, since it needs no escaping and is longer than what `text` lets through.
    source = Markup(f"data:image/svg+xml;base64,{encoded}")
    cells = []
    for name, line in cell_lines(_clean(genotype)):
        cells.append(f"{name} cell: {line}" if name else line)
    image = element("img", src=source, alt=f"Drawing of the architecture. {'; '.join(cells)}")
    return scroll(image, "Drawing of the architecture")


def _clean(genotype: Genotype) -> Genotype:
    """Return a genotype whose names an SVG can hold: printable, and not too long for a label."""
    choices = {_label(name): _label(option) for name, option in genotype.choices.items()}
    return Genotype(_label(genotype.space), choices)


def _label(name: str) -> str:
    return drawable(name[:_LONGEST])


def _files(run: RunData) -> list[tuple[str, str]]:
    rows = []
    if WEIGHTS in run.sizes:
        rows.append((WEIGHTS, readable_size(run.sizes[WEIGHTS])))
    if ONNX in run.sizes:
        says = readable_size(run.sizes[ONNX])
        difference = run.summary.number("onnx_max_difference")
        if difference is not None:
            says += f"; its logits differ from PyTorch's by {difference:.1e} of the largest at most"
        rows.append((ONNX, says))
    elif WEIGHTS in run.sizes:
        rows.append((ONNX, f"missing. {next_step(run)}"))
    return rows
