"""Run directories of any stage, made in milliseconds, and reports read back: for the tests of the
report.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from unas.architecture.genotype import Genotype
from unas.budgets.budget import read_budgets
from unas.config.document import config_to_json
from unas.recipes import recipe
from unas.report import write_report
from unas.searching.config import SearchConfig

Element = ElementTree.Element
STAGES = ("started", "search", "found", "training", "trained", "tested", "finished")
BUDGETS = ("latency<=0.2ms@onnxruntime", "params<=150k")
OPTIONS = ("skip_connect", "sep_conv_3x3", "max_pool_3x3", "dil_conv_3x3")
WARM_UP, EPOCHS, STEPS_AN_EPOCH, TRAINING_STEPS = 2, 6, 5, 30
VERDICTS = [
    {
        "budget": BUDGETS[0], "quantity": "latency", "limit": 0.2, "value": 0.105, "low": 0.1, "high": 0.11,
        "passed": True, "note": "", "line": "PASS",
    },
    {
        "budget": BUDGETS[1], "quantity": "params", "limit": 150000.0, "value": 166500, "low": 166500, "high": 166500,
        "passed": False, "note": "", "line": "FAIL",
    },
]  # fmt: skip
MACHINE = {"processor": "AMD EPYC", "accelerator": None, "threads": 1}
LATENCY = [
    {
        "median_ms": 0.1053, "p10": 0.1039, "p90": 0.1242, "samples": 50, "device": "cpu", "backend": "onnxruntime",
        "low_ms": 0.1048, "high_ms": 0.1065, "fingerprint": MACHINE,
    },
    {"median_ms": 2.976, "p10": 2.85, "p90": 3.157, "samples": 50, "device": "cpu", "backend": "eager"},
]  # fmt: skip


def choices() -> dict[str, tuple[str, ...]]:
    """Return the choices of two small cells."""
    found: dict[str, tuple[str, ...]] = {}
    for cell in ("normal", "reduction"):
        for node in range(2):
            for slot in range(2):
                found[f"{cell}/node{node}/input{slot}"] = tuple(map(str, range(node + 2)))
                found[f"{cell}/node{node}/op{slot}"] = OPTIONS
    return found


GENOTYPE = Genotype("darts", {name: options[-1] for name, options in choices().items()})


def policy(epochs: int = WARM_UP + EPOCHS) -> list[dict[str, Any]]:
    """Return a policy.json in which the last option of each choice becomes more and more probable."""
    entries = []
    for epoch in range(1, epochs + 1):
        share = min(0.9, 0.1 + 0.1 * epoch)
        probabilities = {
            name: {option: (1 - share) / (len(options) - 1) for option in options[:-1]}
            | {options[-1]: share}
            for name, options in choices().items()
        }
        entries.append({"epoch": epoch, "probabilities": probabilities, "alarms": {}})
    return entries


def search_metrics() -> list[dict[str, Any]]:
    """Return the lines of a search."""
    lines: list[dict[str, Any]] = []
    for step in range(1, (WARM_UP + EPOCHS) * STEPS_AN_EPOCH + 1):
        line = {"phase": "search", "step": step, "train_loss": 2.5 / step}
        if step > WARM_UP * STEPS_AN_EPOCH:
            line |= {
                "cross_entropy": 2.4 / step,
                "gap": 0.3,
                "overlap": 1.5,
                "entropy": 20 - step / 4,
            }
            line |= {"expected_params": 160000.0 - 500 * step}
        if step % STEPS_AN_EPOCH == 0 and step > WARM_UP * STEPS_AN_EPOCH:
            line |= {"normalised_entropy": 0.5, "skip_share": 0.25, "expected_skip_share": 0.2}
        lines.append(line)
    return lines


def training_metrics() -> list[dict[str, Any]]:
    """Return the lines of a training."""
    return [
        {"phase": "training", "step": step, "loss": 2.3 / step}
        for step in range(1, TRAINING_STEPS + 1)
    ]


def candidates() -> dict[str, Any]:
    """Return a candidates.json: the mode, two draws, of which one has left early, two at random."""
    entries = []
    for source, images, difference, error in (
        ("mode", 500, 0.01, 0.004),
        ("draw", 500, 0.0, 0.0),
        ("draw", 125, 0.4, 0.05),
        ("random", 500, 0.06, 0.01),
        ("random", 500, -0.02, 0.015),
    ):
        entries.append({
            "source": source, "images": images, "validation_loss": 0.5 + difference,
            "validation_accuracy": 0.9, "difference": difference, "difference_error": error,
            "choices": dict(GENOTYPE.choices), "chosen": difference == 0,
        })  # fmt: skip
    return {
        "format": "unas.candidates", "version": 1, "space": "darts", "separated": False,
        "spread": {"architectures": 5, "images": 125, "p": 1e-5},
        "gain": {"controls": 2, "beaten": 1, "beaten_by_mode": 1, "difference": -0.02, "difference_error": 0.015, "p": 1.0},
        "candidates": entries,
    }  # fmt: skip


def summary() -> dict[str, Any]:
    """Return the figures of a finished run."""
    return {
        "validation_loss": 0.5038, "validation_accuracy": 0.9514, "candidates": 8, "policy_entropy": 12.0,
        "skipped_search_updates": 0, "normalised_entropy": 0.7079, "skip_share": 0.1875, "alarms": {},
        "test_accuracy": 0.98886, "test_loss": 0.04904, "parameters": 117914, "macs": 1257728,
        "skipped_training_updates": 3, "onnx_max_difference": 1.717e-05, "latency": LATENCY, "budgets": VERDICTS,
    }  # fmt: skip


def made_run(directory: Path, stage: str = "finished", seed: int = 0, **figures: Any) -> Path:
    """Make a run that has come as far as `stage`, one of `STAGES`; `figures` replace those of its
    summary.
    """
    at = STAGES.index(stage)
    directory.mkdir(parents=True)
    search = SearchConfig(warm_up_epochs=2, epochs=10, batch_size=64)
    config = replace(recipe("digits"), search=search, budgets=read_budgets(BUDGETS), seed=seed)
    (directory / "config.json").write_text(config_to_json(config))
    manifest = {
        "started": "2026-11-24T16:35:02+00:00", "command": ["/bin/unas", "run", "digits", "--out", str(directory)],
        "seed": seed, "device": "AMD EPYC (cpu, 1 threads), float32",
        "versions": {"python": "3.11.7", "torch": "2.15.0", "onnx": None},
        "hardware": {"system": "Linux", "cpu": "AMD EPYC", "cores": 2, "memory_bytes": 2**33, "gpus": [], "cuda": None},
        "git_revision": "0123abcd", "processes": 1,
    }  # fmt: skip
    (directory / "manifest.json").write_text(json.dumps(manifest))
    lines = [] if at < 1 else search_metrics()[:23] if at == 1 else search_metrics()
    write_lines(directory, lines + (training_metrics() if at >= 3 else []))
    if at >= 1:
        (directory / "policy.json").write_text(json.dumps(policy(4) if at == 1 else policy()))
    if at >= 2:
        (directory / "genotype.json").write_text(GENOTYPE.to_json())
        (directory / "candidates.json").write_text(json.dumps(candidates()))
        whole = {**summary(), **figures}
        later: tuple[str, ...] = () if at == 6 else ("latency", "onnx_max_difference")
        later += (
            ()
            if at >= 5
            else ("test_accuracy", "test_loss", "parameters", "macs", "skipped_training_updates")
        )
        kept = {name: value for name, value in whole.items() if name not in later}
        (directory / "summary.json").write_text(json.dumps(kept))
    if at >= 4:
        (directory / "model.safetensors").write_bytes(b"x" * 5000)
    if at >= 6:
        (directory / "model.onnx").write_bytes(b"x" * 6000)
    return directory


def write_lines(directory: Path, lines: list[dict[str, Any]]) -> None:
    """Write a metrics.jsonl."""
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def drawn(*directories: Path) -> Element:
    """Draw a report and return its root, with every table, drawing and heading as an accessible
    page needs it.
    """
    out = directories[0].parent / "drawn.html"
    write_report(directories, out)
    return checked(out.read_text(encoding="utf-8"))


class _Tags(HTMLParser):
    """The tags and attributes of a page as HTML, which is read otherwise than XML."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


ALLOWED = frozenset({
    "a", "b", "body", "caption", "circle", "code", "dd", "details", "div", "dl", "dt", "figcaption", "figure", "footer",
    "g", "h1", "h2", "h3", "h4", "head", "header", "html", "img", "li", "line", "main", "meta", "p", "path", "pre",
    "rect", "section", "small", "span", "style", "summary", "svg", "table", "tbody", "td", "text", "th", "thead",
    "title", "tr", "ul",
})  # fmt: skip


def checked(html: str) -> Element:
    """Return the root of a page that is well-formed as XML and as HTML, brings no code and asks for
    nothing.
    """
    assert html.startswith("<!DOCTYPE html>\n")
    root = ElementTree.fromstring(html.partition("\n")[2])  # noqa: S314 - we wrote it
    tags = _Tags()
    tags.feed(html)
    assert [tag for tag, _ in tags.found] == [each.tag.lower() for each in root.iter()]
    assert {tag for tag, _ in tags.found} <= ALLOWED
    for _, attributes in tags.found:
        assert not [
            name
            for name in attributes
            if name.startswith("on") or name in {"style", "srcset", "xlink:href"}
        ]
        assert (attributes.get("href") or "#").startswith("#")
        assert (attributes.get("src") or "data:image/svg+xml;base64,").startswith(
            "data:image/svg+xml;base64,"
        )
    return root


def words(element: Element) -> str:
    """Return all text in an element."""
    return " ".join("".join(element.itertext()).split())


def of_class(element: Element, name: str) -> Iterator[Element]:
    """Yield the elements below that have a class."""
    return (each for each in element.iter() if name in each.get("class", "").split())


def image(source: Element) -> Element:
    """Return the root of the SVG in an <img>."""
    return ElementTree.fromstring(base64.b64decode(source.get("src", "").partition(",")[2]))  # noqa: S314 - likewise


def figure(root: Element, title: str) -> Element:
    """Return the drawing of the figure with a title."""
    (found,) = [each for each in root.iter("figure") if words(each).startswith(title)]
    drawing = found.find("svg")
    assert drawing is not None
    return drawing


def cells(root: Element, caption: str) -> list[list[str]]:
    """Return the rows of the table whose caption begins so."""
    (found,) = [each for each in root.iter("table") if words(each).startswith(caption)]
    body = found.find("tbody")
    assert body is not None
    return [[words(cell) for cell in row] for row in body]
