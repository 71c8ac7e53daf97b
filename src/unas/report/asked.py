"""What a run was asked for, in one sentence."""

from __future__ import annotations

from unas.report import costs
from unas.report.fields import Fields
from unas.report.figures import budget, plural
from unas.report.markup import Markup, element
from unas.report.run_data import RunData


def draw(run: RunData) -> Markup:
    """Return the sentence."""
    config = run.config
    data = config.object("dataset").text("name")
    genotype = config.text("genotype")
    how = []
    if genotype:
        what = f"Train the given architecture {genotype}"
    else:
        what = f"Search a network of the {config.object('space').text('name')} space"
        how.append(_search(config.object("search")))
    budgets = [budget(typed) for typed in costs.asked(config)]
    under = f" under {' and '.join(budgets)}" if budgets else ""
    epochs = config.object("training").number("epochs")
    if epochs is not None:
        how.append(f"train for {plural(epochs, 'epoch')}")
    seed = config.number("seed")
    if seed is not None:
        how.append(f"seed {seed:.0f}")
    return element("p", f"{what} for {data}{under}: {'; '.join(how)}.", class_="asked")


def _search(search: Fields) -> str:
    epochs = plural(search.number("epochs") or 0, "epoch")
    warm_up = search.number("warm_up_epochs") or 0
    before = f"after {plural(warm_up, 'epoch')} of warm-up " if warm_up else ""
    estimator = search.object("estimator").text("name")
    return f"search {epochs} {before}with {estimator}"
