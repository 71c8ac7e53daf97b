"""How far a run is, in words."""

from __future__ import annotations

import shlex

from unas.report.run_data import RunData
from unas.runs.names import SEARCH, TRAINING, WEIGHTS


def stage(run: RunData) -> str:
    """Return how far a run is: "finished", or what it has done last."""
    if run.is_finished:
        return "finished"
    if "test_accuracy" in run.summary:
        return "trained and tested, not exported"
    if WEIGHTS in run.sizes:
        return "trained, not tested"
    if run.steps[TRAINING]:
        return f"in training, at step {run.steps[TRAINING]:,}"
    return _stage_of_search(run)


def _stage_of_search(run: RunData) -> str:
    if run.genotype is not None:
        is_given = run.config.text("genotype") != ""
        return "not trained" if is_given else "architecture found, not trained"
    steps = run.steps[SEARCH]
    if not steps:
        return "started, nothing logged"
    if not run.policy:
        return f"in the search, at step {steps:,}"
    epochs = f"{run.policy[-1].number} of {planned_epochs(run)} epochs done"
    return f"in the search, at step {steps:,}, {epochs}"


def planned_epochs(run: RunData) -> int:
    """Return how many epochs the search was to have, with those that warm the weights up."""
    search = run.config.object("search")
    return round((search.number("warm_up_epochs") or 0) + (search.number("epochs") or 0))


def next_step(run: RunData) -> str:
    """Return the line that says how an unfinished run goes on."""
    resume = f"unas run --resume --out {shlex.quote(str(run.directory))}"
    return f"The run is not finished ({stage(run)}); {resume} goes on."
