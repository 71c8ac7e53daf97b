"""How far a run is, in words."""

from __future__ import annotations

import shlex

from unas.report.run_data import RunData
from unas.runs.names import SEARCH, TRAINING, WEIGHTS


def stage(run: RunData) -> str:
    """Return how far a run is: "finished", or what it has done last."""
    steps = run.steps
    is_given = run.config.text("genotype") != ""
    found = (
        (run.is_finished, "finished"),
        ("test_accuracy" in run.summary, "trained and tested, not exported"),
        (WEIGHTS in run.sizes, "trained, not tested"),
        (steps[TRAINING] > 0, f"in training, at step {steps[TRAINING]:,}"),
        (
            run.genotype is not None,
            "not trained" if is_given else "architecture found, not trained",
        ),
        (steps[SEARCH] > 0, f"in the search, at step {steps[SEARCH]:,}{_epochs_done(run)}"),
    )
    return next((words for holds, words in found if holds), "started, nothing logged")


def _epochs_done(run: RunData) -> str:
    return f", {run.policy[-1].number} of {planned_epochs(run)} epochs done" if run.policy else ""


def planned_epochs(run: RunData) -> int:
    """Return how many epochs the search was to have, with those that warm the weights up."""
    search = run.config.object("search")
    return round((search.number("warm_up_epochs") or 0) + (search.number("epochs") or 0))


def next_step(run: RunData) -> str:
    """Return the line that says how an unfinished run goes on."""
    return f"The run is not finished ({stage(run)}); unas run --resume --out {shlex.quote(str(run.directory))} goes on."
