"""The search: first the weights alone, then policy and weights in turn (UNAS, algorithm 1).

At last the policy may settle, with the weights at rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from unas.data import BatchStream
from unas.drawing.policy import draw_policy
from unas.runs.checkpoints import fitting
from unas.runs.names import POLICY, SEARCH
from unas.runs.progress import say
from unas.runs.session import Session
from unas.searching.collapse import collapse
from unas.searching.config import SearchConfig
from unas.searching.step import SearchStep
from unas.searching.watching import mode_scores, watched

PICTURES = 30  # of the policy, at most; one takes as long as a step of a small search


def weight_steps(config: SearchConfig, steps_per_epoch: int) -> int:
    """Return in how many steps of a search the weights learn, those of warm-up included."""
    return (config.warm_up_epochs + config.epochs) * steps_per_epoch


def total_steps(config: SearchConfig, steps_per_epoch: int) -> int:
    """Return how many steps a search has, with those in which the policy settles."""
    return weight_steps(config, steps_per_epoch) + config.settling_steps


def policy_updates(config: SearchConfig, steps_per_epoch: int, since: int | None = None) -> int:
    """Return in how many steps of a search the policy learns.

    Args:
        config: the search.
        steps_per_epoch: steps of an epoch.
        since: count in so many steps after warm-up alone; None: in all.
    """
    beside_weights = config.epochs * steps_per_epoch
    settling = config.settling_steps
    if since is not None:
        settling = min(max(since - beside_weights, 0), settling)
        beside_weights = min(max(since, 0), beside_weights)
    return math.ceil(beside_weights / config.policy_every) + settling


def search_loop(
    search: SearchStep,
    train: BatchStream,
    validation: BatchStream,
    session: Session,
    watch: Iterable[tuple[Tensor, Tensor]] = (),
) -> dict[str, str]:
    """Run a search, or what is left of it.

    Args:
        search: the supernet, the policy and their optimisers; holds the result.
        train: training images.
        validation: validation images, not augmented.
        session: where to log and save; its checkpoint, if it is of this phase, is where to go on.
        watch: normalised validation images with labels, on which the policy's mode is evaluated
            after each epoch; none by default.

    Returns:
        the alarms that were raised, by name, each with its epoch.
    """
    policies = _resumed(search, session)

    def state() -> dict[str, Any]:
        return {"search": search.state_dict(), "policies": policies}

    epoch = train.steps_per_epoch
    total = total_steps(search.config, epoch)
    warm_up = search.config.warm_up_epochs * epoch
    pictured_every = math.ceil(total / epoch / PICTURES)
    images = train.batch_size * session.ranks.size
    steps = session.steps(
        SEARCH,
        total,
        state,
        search.skipped,
        start=search.steps,
        images_a_step=images,
        work=partial(_work, train),
    )
    for step, log in steps:
        search.runtime.compare_ranks(search.named_tensors, SEARCH, step)
        with search.runtime.computing():
            figures = _update(search, train, validation, step - warm_up)
        unshown = watched(search)
        if (step + 1) % epoch and step + 1 < total:
            log(unshown, **figures)
            continue
        log.end_step()
        unshown |= mode_scores(search, watch)
        signs = collapse(search.space, search.policy)
        if step >= warm_up:
            unshown |= signs.figures()
        log(unshown, **figures)
        learned = policy_updates(search.config, epoch, step + 1 - warm_up)
        done = learned / max(1, policy_updates(search.config, epoch))
        alarms = _new(signs.alarms(done), policies)
        _show(alarms, session)
        probabilities = search.policy.probabilities()
        number = math.ceil((step + 1) / epoch)
        is_pictured = number % pictured_every == 0 or step + 1 == total
        entry = {"epoch": number, "probabilities": probabilities, "alarms": alarms}
        policies.append(entry)
        session.run.write_json(POLICY, policies)
        if session.ranks.is_main and is_pictured:
            session.run.draw(SEARCH, step + 1, "policy", draw_policy(probabilities))
    return _raised(policies)


def _work(train: BatchStream, steps: int) -> float:
    """Return how many steps on whole images take as long as the first so many."""
    small = train.small
    if small is None:
        return float(steps)
    smaller = min(steps, small.epochs * train.steps_per_epoch)
    return steps - smaller * (1 - small.area_of(train.image_set.image_shape))


def _update(
    search: SearchStep, train: BatchStream, validation: BatchStream, since: int
) -> dict[str, float]:
    """Do a step, so many after warm-up, of the weights alone, of the policy alone, or of both."""
    x, y = train.batch(search.steps)
    if since < 0:
        return search.warm_up(x, y)
    config = search.config
    is_settling = since >= config.epochs * train.steps_per_epoch
    if not is_settling and since % config.policy_every:
        return search.between(x, y)
    number = policy_updates(config, train.steps_per_epoch, since)
    update = search.settle if is_settling else search
    return update(x, y, *validation.batch(number))


def _resumed(search: SearchStep, session: Session) -> list[dict[str, Any]]:
    """Load the search that the session has saved, if any; return its entries of policy.json."""
    checkpoint = session.run.checkpoint
    if checkpoint is None or checkpoint.phase != SEARCH:
        return []
    with fitting(checkpoint.path):
        search.load_state_dict(checkpoint.state["search"])
        return _checked(checkpoint.state["policies"])


def _checked(policies: Any) -> list[dict[str, Any]]:
    """Return the entries of policy.json from a checkpoint, which may be somebody else's."""
    for entry in policies:
        is_epoch = isinstance(entry["epoch"], int)
        if not (is_epoch and isinstance(entry.get("alarms", {}), dict)):
            raise ValueError("policies")
    return list(policies)


def _raised(policies: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the alarms of all epochs, each with its epoch."""
    raised = {}
    for entry in policies:
        for name, text in entry.get("alarms", {}).items():  # a run of an older unas has none
            raised[name] = f"epoch {entry['epoch']}: {text}"
    return raised


def _new(alarms: Mapping[str, str], policies: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the alarms that no earlier epoch has raised."""
    known = _raised(policies)
    return {name: text for name, text in alarms.items() if name not in known}


def _show(alarms: Mapping[str, str], session: Session) -> None:
    for text in alarms.values():
        say(f"alarm: {text}", quiet=session.quiet)
