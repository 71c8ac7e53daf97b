"""What a run was asked for, in one sentence."""

from __future__ import annotations

from unas.report import costs
from unas.report.fields import Fields
from unas.report.figures import budget
from unas.report.markup import Markup, element
from unas.report.run_data import RunData


def draw(run: RunData) -> Markup:
    """Return the sentence."""
    config = run.config
    data, space = config.object("dataset").text("name"), config.object("space").text("name")
    budgets, given = costs.asked(config), config.text("genotype")
    what = (
        f"Train the given architecture {given}"
        if given
        else f"Search a network of the {space} space"
    )
    under = f" under {' and '.join(map(budget, budgets))}" if budgets else ""
    how = [] if given else [_search(config.object("search"))]
    epochs = config.object("training").number("epochs")
    how += [] if epochs is None else [f"train for {_epochs(epochs)}"]
    seed = config.number("seed")
    how += [] if seed is None else [f"seed {seed:.0f}"]
    return element("p", f"{what} for {data}{under}: {'; '.join(how)}.", class_="asked")


def _search(search: Fields) -> str:
    warm_up, epochs = search.number("warm_up_epochs") or 0, search.number("epochs") or 0
    estimator = search.object("estimator").text("name")
    before = f"after {_epochs(warm_up)} of warm-up " if warm_up else ""
    return f"search {_epochs(epochs)} {before}with {estimator}"


def _epochs(number: float) -> str:
    return f"{number:,.0f} epoch{'s' if number != 1 else ''}"
