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
        given = run.config.text("genotype")
        return section(
            title, level, missing(f"It was to be {given}." if given else "None is chosen yet.")
        )
    lines = cell_lines(_clean(run.genotype))
    rows: list[tuple[str, str]] = [
        (f"{name} cell" if name else "choices", _nodes(line)) for name, line in lines
    ]
    share = run.summary.number("skip_share")
    rows += (
        []
        if share is None
        else [("skip connections", f"{100 * share:.0f} % of the choices that can be one")]
    )
    rows += _files(run)
    words = element("div", pairs("The same in words, and its files", rows))
    return section(title, level, element("div", _drawing(run.genotype, run), words, class_="sides"))


def _nodes(line: str) -> Markup:
    """Return a cell's line with each node on a line of its own.

    The options of a chain stay on theirs.
    """
    return element("div", *(element("div", node) for node in line.split("  ")))


def _drawing(genotype: Genotype, run: RunData) -> Markup:
    """Return the drawing as an image of its own, so that its style and what is in it stay in there."""
    if len(genotype.choices) > MAX_CHOICES:
        return missing(
            f"It has {len(genotype.choices):,} choices, too many to draw; `unas show` lists them."
        )
    parameters = run.summary.number("parameters")
    subtitle = "" if parameters is None else f"{readable_count(parameters)} parameters"
    document = draw_svg(_clean(genotype), _label(run.name), subtitle)
    # Base64 needs no escaping, and is longer than what `text` lets through.
    source = Markup("data:image/svg+xml;base64," + base64.b64encode(document.encode()).decode())
    alt = "; ".join(
        f"{name} cell: {line}" if name else line for name, line in cell_lines(_clean(genotype))
    )
    image = element("img", src=source, alt=f"Drawing of the architecture. {alt}")
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
        difference = run.summary.number("onnx_max_difference")
        says = (
            ""
            if difference is None
            else f"; its logits differ from PyTorch's by {difference:.1e} of the largest at most"
        )
        rows.append((ONNX, f"{readable_size(run.sizes[ONNX])}{says}"))
    elif WEIGHTS in run.sizes:
        rows.append((ONNX, f"missing. {next_step(run)}"))
    return rows
