"""The search: first the weights alone, then the policy and the weights in turn (UNAS, algorithm 1; SPEC §3)."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from unas.data import BatchStream
from unas.runs.checkpoints import fitting
from unas.runs.names import POLICY, SEARCH
from unas.runs.session import Session
from unas.searching.collapse import collapse
from unas.searching.config import SearchConfig
from unas.searching.step import SearchStep


def total_steps(config: SearchConfig, steps_per_epoch: int) -> int:
    """Return how many steps a search has, with those that warm the weights up."""
    return (config.warm_up_epochs + config.epochs) * steps_per_epoch


def search_loop(
    search: SearchStep, train: BatchStream, validation: BatchStream, session: Session
) -> dict[str, str]:
    """Run a search, or what is left of it.

    Args:
        search: the supernet, the policy and their optimisers; holds the result.
        train: training images.
        validation: validation images, not augmented.
        session: where to log and save; its checkpoint, if it is of this phase, is where to go on.

    Returns:
        the alarms that were raised, by name, each with its epoch.
    """
    policies: list[dict[str, Any]] = []

    def state() -> dict[str, Any]:
        return {"search": search.state_dict(), "policies": policies}

    checkpoint = session.run.checkpoint
    if checkpoint is not None and checkpoint.phase == SEARCH:
        with fitting(checkpoint):
            search.load_state_dict(checkpoint.state["search"])
            policies += _checked(checkpoint.state["policies"])

    epoch, total = train.steps_per_epoch, total_steps(search.config, train.steps_per_epoch)
    warm_up = search.config.warm_up_epochs * epoch
    for step, log in session.steps(SEARCH, total, state, search.skipped, start=search.steps):
        search.runtime.compare_ranks(search.named_tensors(), SEARCH, step)
        x, y = train.batch(step)
        figures = (
            search.warm_up(x, y)
            if step < warm_up
            else search(x, y, *validation.batch(step - warm_up))
        )
        if (step + 1) % epoch:
            log(**figures)
            continue
        found = collapse(search.space, search.policy)
        log(found.figures() if step >= warm_up else {}, **figures)
        alarms = _new(found.alarms((step + 1 - warm_up) / max(1, total - warm_up)), policies)
        _show(alarms, session)
        entry = {
            "epoch": (step + 1) // epoch,
            "probabilities": search.policy.probabilities(),
            "alarms": alarms,
        }
        policies.append(entry)
        session.run.write_json(POLICY, policies)
    raised = (
        (entry["epoch"], entry.get("alarms", {})) for entry in policies
    )  # an older unas had no alarms
    return {
        name: f"epoch {number}: {text}"
        for number, alarms in raised
        for name, text in alarms.items()
    }


def _checked(policies: Any) -> list[dict[str, Any]]:
    """Return the entries of policy.json from a checkpoint, which may be somebody else's."""
    if not all(
        isinstance(entry["epoch"], int) and isinstance(entry.get("alarms", {}), dict)
        for entry in policies
    ):
        raise ValueError("policies")
    return list(policies)


def _new(alarms: Mapping[str, str], policies: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the alarms that no earlier epoch has raised."""
    known = {name for entry in policies for name in entry.get("alarms", {})}
    return {name: text for name, text in alarms.items() if name not in known}


def _show(alarms: Mapping[str, str], session: Session) -> None:
    for text in alarms.values():
        if not session.quiet:
            print(
                f"alarm: {text}", file=sys.stderr, flush=True
            )  # a bar in the terminal stays below it
