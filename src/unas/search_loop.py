"""The search: first the weights alone, then the policy and the weights in turn (UNAS, algorithm 1; SPEC §3)."""

from __future__ import annotations

from typing import Any

from unas.data import BatchStream
from unas.phase import Session
from unas.run_directory import POLICY
from unas.search_config import SearchConfig
from unas.search_update import SearchStep

PHASE = "search"


def total_steps(config: SearchConfig, steps_per_epoch: int) -> int:
    """Return how many steps a search has, with those that warm the weights up."""
    return (config.warm_up_epochs + config.epochs) * steps_per_epoch


def search_loop(search: SearchStep, train: BatchStream, validation: BatchStream, session: Session) -> None:
    """Run a search, or what is left of it.

    Args:
        search: the supernet, the policy and their optimisers; holds the result.
        train: training images.
        validation: validation images, not augmented.
        session: where to log and save; its checkpoint, if it is of this phase, is where to go on.
    """
    policies: list[dict[str, Any]] = []

    def state() -> dict[str, Any]:
        return {"search": search.state_dict(), "policies": policies}

    checkpoint = session.run.checkpoint
    if checkpoint is not None and checkpoint.phase == PHASE:
        search.load_state_dict(checkpoint.state["search"])
        policies += checkpoint.state["policies"]

    epoch = train.steps_per_epoch
    warm_up = search.config.warm_up_epochs * epoch
    for step, log in session.steps(PHASE, total_steps(search.config, epoch), state, start=search.steps):
        x, y = train.batch(step)
        log(**(search.warm_up(x, y) if step < warm_up else search(x, y, *validation.batch(step - warm_up))))
        if (step + 1) % epoch == 0:
            policies.append({"epoch": (step + 1) // epoch, "probabilities": search.policy.probabilities()})
            session.run.write_json(POLICY, policies)
