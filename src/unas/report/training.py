"""How the network's training went."""

from __future__ import annotations

from collections.abc import Mapping

from unas.report import curves
from unas.report.curves import Curve, Plot
from unas.report.figures import percent, whole
from unas.report.markup import Markup, element
from unas.report.parts import missing, pairs, section
from unas.report.run_data import RunData
from unas.report.search import skipped
from unas.report.series import Series
from unas.runs.names import SEARCH, TRAINING

_PLOTS: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    (
        "Accuracy after each epoch",
        "share",
        {
            "test_top1": "test",
            "test_top5": "test, top 5",
            "validation_top1": "validation",
            "validation_top5": "validation, top 5",
        },
    ),
    ("Training loss", "nats", {"loss": "loss"}),
    (
        "Loss after each epoch",
        "nats",
        {"test_loss": "test", "validation_loss": "validation"},
    ),
    ("Learning rate", "", {"lr": "learning rate"}),
    ("Norm of the gradient, before it is clipped", "", {"gradient_norm": "norm"}),
)


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
    """Return the plots over the steps of the training, of what is logged."""
    series = run.figures[TRAINING]
    names = dict.fromkeys(series)
    names.pop("skipped", None)
    plots = []
    for title, unit, curve_names in _PLOTS:
        logged = [name for name in curve_names if name in names]
        for name in logged:
            del names[name]
        if logged:
            curves_of_plot = [_curve(series[name], curve_names[name]) for name in logged]
            plots.append(Plot(title, unit, curves_of_plot))
    of_other_versions = [
        Plot(_title(name), "", [_curve(series[name], name.replace("_", " "))]) for name in names
    ]
    return plots + of_other_versions


def _curve(series: Series, name: str) -> Curve:
    return Curve(name, series.bins(), series.last)


def _title(name: str) -> str:
    return f"{name[:1].upper()}{name[1:40]}".replace("_", " ")


def _end(run: RunData) -> list[tuple[str, str]]:
    rows = [("steps done", f"{run.steps[TRAINING]:,}")]
    trained = run.summary.number("training_images")
    kept = run.summary.number("training_validation_images")
    if trained is not None and kept is not None:
        rows.append(("images", f"{whole(trained)} trained on, {whole(kept)} kept for validation"))
    if run.summary.text("weights"):
        rows.append(("weights delivered", run.summary.text("weights")))
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
