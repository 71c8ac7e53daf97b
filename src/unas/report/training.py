"""How the network's training went."""

from __future__ import annotations

from unas.report import curves
from unas.report.curves import Curve, Plot
from unas.report.figures import percent, whole
from unas.report.markup import Markup, element
from unas.report.parts import missing, pairs, section
from unas.report.run_data import RunData
from unas.report.search import skipped
from unas.runs.names import SEARCH, TRAINING

_LOSS = "loss"


def draw(run: RunData, level: int) -> Markup:
    """Return the section."""
    title = "Training"
    if not run.steps[TRAINING]:
        return section(title, level, missing(f"The network is not trained yet: {_waits_for(run)}."))
    plots = [curves.draw(plot) for plot in _plots(run)]
    end = element("div", pairs("How the training ended", _end(run)))
    return section(title, level, element("div", *plots, end, class_="plots"))


def _waits_for(run: RunData) -> str:
    if run.steps[SEARCH] and run.genotype is None:
        return "the search is not finished"
    return "no step is logged"


def _plots(run: RunData) -> list[Plot]:
    """Return a plot of each figure that is logged, the loss first."""
    series = run.figures[TRAINING]
    names = [name for name in series if name not in {_LOSS, "skipped"}]
    if _LOSS in series:
        names.insert(0, _LOSS)
    plots = []
    for name in names:
        curve = Curve(name.replace("_", " "), series[name].bins(), series[name].last)
        unit = "nats" if _LOSS in name else ""
        plots.append(Plot(_title(name), unit, [curve]))
    return plots


def _title(name: str) -> str:
    if name == _LOSS:
        return "Training loss"
    return f"{name[:1].upper()}{name[1:40]}".replace("_", " ")


def _end(run: RunData) -> list[tuple[str, str]]:
    rows = [("steps done", f"{run.steps[TRAINING]:,}")]
    epochs = run.config.object("training").number("epochs")
    if epochs is not None:
        rows.append(("epochs planned", whole(epochs)))
    rows.append(("updates skipped, not finite", skipped(run, TRAINING)))
    accuracy = run.summary.number("test_accuracy")
    if accuracy is not None:
        rows.append(("test accuracy", percent(accuracy)))
    loss = run.summary.number("test_loss")
    if loss is not None:
        rows.append(("test loss", f"{loss:.4g} nats"))
    return rows
