"""Candidates in the supernet: the difference of each to the best, with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

from unas.common.text import readable_number
from unas.report.axes import Scale, scale
from unas.report.curves import RIGHT, WIDTH
from unas.report.drawing import figure, label, legend, line, svg
from unas.report.fields import Fields
from unas.report.figures import plural
from unas.report.markup import Markup, element

_LEFT = 96.0
_ROW, _HALF, _BELOW = 15.0, 3.5, 36.0
_MAX_ROWS = 24
_IN_95_PERCENT = 1.96  # standard errors
_NAMES = {"mode": "mode", "draw": "drawn", "random": "at random"}


@dataclass(frozen=True)
class Row:
    """An architecture.

    Args:
        source: "mode", "draw" or "random".
        is_chosen: it is the best candidate.
        images: how many images it has seen.
        difference: mean of its losses less those of the best candidate.
        error: standard error of that.
    """

    source: str
    is_chosen: bool
    images: float
    difference: float
    error: float

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of its 95 % interval."""
        half = _IN_95_PERCENT * self.error
        return self.difference - half, self.difference + half

    @property
    def style(self) -> str:
        """What it is drawn as."""
        if self.is_chosen:
            return "pass"
        return "control" if self.source == "random" else "candidate"


def draw(document: Fields) -> Markup | None:
    """Return the figure of candidates.json; None where it is missing or says nothing.

    Of those that have seen as many images as the chosen one, the best draws are drawn and all
    others.
    """
    rows = _rows(document)
    shown = _shown(rows)
    if not shown:
        return None
    title = "Candidates in the supernet"
    styles = {row.style for row in shown}
    names = {"pass": "chosen", "candidate": "of the policy", "control": "drawn at random"}
    entries = [(f"whisker {style}", name) for style, name in names.items() if style in styles]
    key, top = legend(entries, _LEFT, RIGHT)
    top += 14
    bottom = top + _ROW * len(shown)
    values = [0.0]
    for row in shown:
        values += row.ends
    x = scale(values, _LEFT, RIGHT)
    shapes = [*key, *_axis(x, top, bottom)]
    for number, row in enumerate(shown):
        shapes += _row(row, x, top + _ROW * (number + 0.5))
    words = [f"{_NAMES.get(row.source, row.source)} {_words(row)}" for row in shown]
    drawing = svg(WIDTH, bottom + _BELOW, f"{title}: {'; '.join(words)}", shapes)
    return figure(title, drawing, _says(document, len(rows) - len(shown)))


def _shown(rows: list[Row]) -> list[Row]:
    least = min((row.images for row in rows if row.is_chosen), default=0)
    draws = []
    others = []
    for row in sorted(rows, key=lambda row: row.difference):
        if row.images < least:
            continue
        if row.source == "draw" and not row.is_chosen:
            draws.append(row)
        else:
            others.append(row)
    others = others[:_MAX_ROWS]
    shown = others + draws[: _MAX_ROWS - len(others)]
    return sorted(shown, key=lambda row: row.difference)


def _rows(document: Fields) -> list[Row]:
    rows = []
    for entry in document.objects("candidates"):
        difference = entry.number("difference")
        if difference is None:
            continue  # its loss isn't finite
        rows.append(
            Row(
                entry.text("source"),
                entry.flag("chosen"),
                entry.number("images") or 0,
                difference,
                abs(entry.number("difference_error") or 0.0),
            )
        )
    return rows


def _axis(x: Scale, top: float, bottom: float) -> list[Markup]:
    shapes = []
    for at, words in x.labels():
        shapes += [
            line(at, top, at, bottom, "grid"),
            label(at, bottom + 16, words, anchor="middle", class_="tick"),
        ]
    shapes += [
        line(x(0), top, x(0), bottom, "mark"),
        line(x.start, bottom, x.end, bottom, "axis"),
        label(x.end, bottom + 32, "loss less that of the best candidate, nats", anchor="end"),
    ]
    return shapes


def _row(row: Row, x: Scale, y: float) -> list[Markup]:
    low, high = row.ends
    name = "chosen" if row.is_chosen else _NAMES.get(row.source, row.source[:12])
    about = element("title", f"{name}: {_words(row)}")
    shapes = [label(_LEFT - 8, y + 4, name, anchor="end", class_="quiet")]
    style = f"whisker {row.style}"
    bar = [line(x(low), y, x(high), y, style)]
    bar += [line(x(end), y - _HALF, x(end), y + _HALF, style) for end in (low, high)]
    dot = element("circle", cx=x(row.difference), cy=y, r=3.5, class_=f"value {row.style}")
    return [*shapes, element("g", about, *bar, dot)]


def _words(row: Row) -> str:
    error = readable_number(_IN_95_PERCENT * row.error)
    return f"{readable_number(row.difference)} ± {error} nats"


def _says(document: Fields, left_out: int) -> str:
    """Return whether the search has separated architectures, and what isn't drawn."""
    says = "95 % intervals of the difference on the same images. "
    if document.flag("separated"):
        says += "The search has separated architectures: they differ by more than noise"
    else:
        says += "The search has not separated architectures"
    gain = document.object("gain")
    controls = gain.number("controls")
    if controls:
        beaten = gain.number("beaten") or 0
        says += f"; of {controls:.0f} drawn at random the best candidate beats {beaten:.0f}"
        by_mode = gain.number("beaten_by_mode")
        if by_mode is not None:
            says += f" and the policy's mode {by_mode:.0f}"
    says += "."
    if left_out:
        says += f" {plural(left_out, 'architecture')} left after fewer images, or had more loss."
    return says
