"""What all plots share: a frame with axes, and labels, as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unas.report.axes import Scale
from unas.report.markup import Markup, element

CHARACTER = 6.4  # mean width of a character of labels, in pixels


def figure(title: str, drawing: Markup, says: str = "") -> Markup:
    """Return a drawing under its title, with a line that says in words what it shows."""
    words = element("span", says, class_="quiet") if says else None
    return element("figure", element("figcaption", element("b", title), " ", words), drawing)


def svg(
    width: float, height: float, about: str, shapes: Iterable[Markup], class_: str = "plot"
) -> Markup:
    """Return an SVG element; `about` is what it says where it can't be seen."""
    content = (element("title", about), *shapes)
    return element("svg", *content, viewBox=f"0 0 {width:g} {height:g}", class_=class_, role="img")


def label(
    x: float, y: float, words: str, *, anchor: str | None = None, class_: str | None = None
) -> Markup:
    """Return a text; `anchor` is middle or end where x isn't its start."""
    return element("text", words, x=x, y=y, text_anchor=anchor, class_=class_)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """Return a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def frame(x: Scale, y: Scale, x_name: str, y_name: str) -> list[Markup]:
    """Return both axes with ticks, labels and their names.

    The grid lies under what is drawn later.
    """
    shapes = [label(x.start, y.end - 10, y_name, class_="quiet")]
    for at, words in y.labels():
        shapes += [
            line(x.start, at, x.end, at, "grid"),
            label(x.start - 6, at + 4, words, anchor="end", class_="tick"),
        ]
    for at, words in x.labels():
        shapes += [
            line(at, y.start, at, y.start + 4, "axis"),
            label(at, y.start + 17, words, anchor="middle", class_="tick"),
        ]
    shapes += [
        line(x.start, y.start, x.end, y.start, "axis"),
        label(x.end, y.start + 32, x_name, anchor="end"),
    ]
    return shapes


def legend(
    entries: Sequence[tuple[str, str]], left: float, right: float
) -> tuple[list[Markup], float]:
    """Return a sample and a name for each (class, name), and the height of all rows of them."""
    shapes: list[Markup] = []
    x = left
    y = 12.0
    for class_, words in entries:
        width = 34 + len(words) * CHARACTER + 16
        if x > left and x + width > right:
            x = left
            y += 17
        shapes += [line(x, y - 4, x + 26, y - 4, class_), label(x + 32, y, words)]
        x += width
    return shapes, y + 4
