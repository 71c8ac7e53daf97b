"""The page: one HTML file that needs nothing else, and lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources

from unas.report import architecture, asked, comparison, provenance, search, training, verdict
from unas.report.command import recipe_of
from unas.report.figures import percent
from unas.report.markup import Markup, element, join
from unas.report.run_data import RunData
from unas.report.stage import stage

_MAX_NAMES = 8  # of runs, in the head of the page


def draw(runs: Sequence[RunData]) -> str:
    """Return the report of one run, or of several side by side."""
    if len(runs) == 1:
        (run,) = runs
        title = f"{recipe_of(run)}: {run.name}"
        head = element("header", element("h1", title), asked.draw(run), _facts(run))
        return _document(title, join([head, element("main", sections(run, 2))]))
    title = f"{len(runs)} runs compared"
    names = [run.name for run in runs[:_MAX_NAMES]]
    if len(runs) > _MAX_NAMES:
        names.append("…")
    head = element("header", element("h1", title), element("p", ", ".join(names), class_="quiet"))
    folded = [_folded(number, run) for number, run in enumerate(runs, 1)]
    return _document(title, join([head, element("main", comparison.draw(runs, 2), *folded)]))


def sections(run: RunData, level: int) -> Markup:
    """Return everything about one run, in the order of the questions that are asked of it."""
    parts = (verdict, architecture, search, training, provenance)
    return join(part.draw(run, level) for part in parts)


def _folded(number: int, run: RunData) -> Markup:
    accuracy = run.summary.number("test_accuracy")
    kind, says = verdict.verdict_of(run)
    figure = stage(run) if accuracy is None else percent(accuracy)
    title = element("h2", f"{number} · {recipe_of(run)}: {run.name}")
    line = element("span", f"{figure}; ", element("span", says, class_=kind), class_="quiet")
    summary = element("summary", title, line)
    content = (asked.draw(run), _facts(run), sections(run, 3))
    return element("details", summary, *content, class_="run", id=f"run-{number}")


def _facts(run: RunData) -> Markup:
    """Return state, device and start, in one line."""
    manifest = run.manifest
    facts = [
        stage(run),
        manifest.text("device"),
        manifest.text("started").replace("T", " ").replace("+00:00", " UTC"),
    ]
    return element("p", " · ".join(fact for fact in facts if fact), class_="quiet")


def _document(title: str, body: Markup) -> str:
    """Return the document.

    The only style it may have is its own, and the only images those inside of it.
    """
    style = (resources.files("unas.report") / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Markup(style)),
    )
    foot = element("footer", "Drawn by unas report from the run directory alone.", class_="quiet")
    return f"<!DOCTYPE html>\n{element('html', head, element('body', body, foot), lang='en')}\n"
