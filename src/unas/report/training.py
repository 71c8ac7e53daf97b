"""How the network's training went."""

from __future__ import annotations

from unas.report import curves
from unas.report.curves import Curve, Plot
from unas.report.figures import percent
from unas.report.markup import Markup, element
from unas.report.parts import missing, pairs, section
from unas.report.run_data import RunData
from unas.report.search import skipped
from unas.runs.names import SEARCH, TRAINING

_LOSSES = {"loss": "loss"}


def draw(run: RunData, level: int) -> Markup:
    """Return the section."""
    series = run.figures[TRAINING]
    if not run.steps[TRAINING]:
        waits = (
            "the search is not finished"
            if run.steps[SEARCH] and run.genotype is None
            else "no step is logged"
        )
        return section("Training", level, missing(f"The network is not trained yet: {waits}."))
    names = {
        **_LOSSES,
        **{name: name.replace("_", " ") for name in series if name not in {"skipped", *_LOSSES}},
    }
    drawn = [
        curves.draw(
            Plot(_title(name), _unit(name), [Curve(says, series[name].bins(), series[name].last)])
        )
        for name, says in names.items()
        if name in series
    ]
    epochs = run.config.object("training").number("epochs")
    rows = [("steps done", f"{run.steps[TRAINING]:,}")]
    rows += [] if epochs is None else [("epochs planned", f"{epochs:,.0f}")]
    rows.append(("updates skipped, not finite", skipped(run, TRAINING)))
    rows += _test(run)
    ended = element("div", pairs("How the training ended", rows))
    return section("Training", level, element("div", *drawn, ended, class_="plots"))


def _test(run: RunData) -> list[tuple[str, str]]:
    accuracy, loss = run.summary.number("test_accuracy"), run.summary.number("test_loss")
    rows = [] if accuracy is None else [("test accuracy", percent(accuracy))]
    return rows if loss is None else [*rows, ("test loss", f"{loss:.4g} nats")]


def _title(name: str) -> str:
    return (
        "Training loss" if name in _LOSSES else f"{name[:1].upper()}{name[1:40]}".replace("_", " ")
    )


def _unit(name: str) -> str:
    return "nats" if "loss" in name else ""
