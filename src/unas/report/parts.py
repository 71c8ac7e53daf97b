"""What sections of the page are built from: headings, tables, tiles, and lines for gaps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unas.report.markup import Markup, element


def section(title: str, level: int, *parts: Markup | None) -> Markup:
    """Return a section under a heading of a level."""
    return element("section", element(f"h{level}", title), *parts)


def missing(words: str) -> Markup:
    """Return the one line that stands where something is missing."""
    return element("p", words, class_="missing")


def table(
    caption: str, head: Sequence[str], rows: Iterable[Sequence[str]], numeric: Iterable[int] = ()
) -> Markup:
    """Return a table whose first column heads its rows.

    On a narrow screen each row is a list of names and cells.

    Args:
        caption: what it holds.
        head: names of its columns.
        rows: its cells, text or `Markup`.
        numeric: indices of the columns of figures, which end at the right.
    """
    right = set(numeric)

    def style(column: int) -> str | None:
        return "figure" if column in right else None

    names = []
    for column, name in enumerate(head):
        names.append(element("th", name, scope="col", class_=style(column)))
    lines = []
    for row in rows:
        cells = [element("th", row[0], scope="row")]
        for column, cell in enumerate(row[1:], 1):
            cells.append(element("td", cell, class_=style(column), data_name=head[column]))
        lines.append(element("tr", *cells))
    content = (
        element("caption", caption),
        element("thead", element("tr", *names)),
        element("tbody", *lines),
    )
    return scroll(element("table", *content, class_="rows"), caption)


def pairs(caption: str, rows: Iterable[tuple[str, str]]) -> Markup:
    """Return a table of names and what they are."""
    lines = []
    for name, value in rows:
        lines.append(element("tr", element("th", name, scope="row"), element("td", value)))
    content = (element("caption", caption), element("tbody", *lines))
    return scroll(element("table", *content, class_="pairs"), caption)


def scroll(content: Markup, about: str) -> Markup:
    """Return something wide in a box of its own, which can be scrolled, also with the keyboard."""
    return element("div", content, class_="scroll", role="region", aria_label=about, tabindex="0")


def tile(name: str, value: str, says: str) -> Markup:
    """Return one figure, large, with its name above and what to know below."""
    description = element("dd", element("b", value), element("small", says))
    return element("div", element("dt", name), description)


def tiles(row: Iterable[Markup]) -> Markup:
    """Return tiles in a row that breaks where it has to."""
    return element("dl", *row, class_="tiles")
