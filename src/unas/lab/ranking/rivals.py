"""What a search is compared with, each by a name."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from unas import estimators
from unas.common.errors import UserError
from unas.common.registry import one_of
from unas.config import Config
from unas.estimators.rebar import Rebar
from unas.estimators.reinforce import Reinforce
from unas.objectives import Objective
from unas.searching.config import SearchConfig

SEARCH = "search"
RANDOM = "random"
EVOLUTION = "evolution"
PUBLISHED = "published"
ONE_PATH = "one-path"
_NOT_IN_A_SUPERNET = "exact"  # asks for the cost of every architecture in each step


def rival_names(config: Config) -> tuple[str, ...]:
    """Return all rivals of a recipe's search; other estimators go by their own names."""
    own = estimators.registry.name_of(type(config.search.estimator))
    others = [name for name in estimators.names() if name not in {own, _NOT_IN_A_SUPERNET}]
    return (RANDOM, EVOLUTION, *others, PUBLISHED, ONE_PATH)


def chosen_rivals(config: Config, text: str) -> tuple[str, ...]:
    """Return the rivals that a text names: "all", "none", or names with commas between them.

    Raises:
        UserError: there is no such rival.
    """
    known = rival_names(config)
    if text == "all":
        return known
    if text == "none":
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in known:
            raise UserError(f"--rivals has {name!r}; {one_of(name, known)}, or all, or none")
    return names


def variant(config: Config, name: str) -> Config:
    """Return the configuration of a rival that is a search as well.

    The images, the batch size and but for the published one the epochs stay the recipe's.
    """
    if name == PUBLISHED:
        return _published(config)
    if name == ONE_PATH:
        return _one_path(config)
    estimator = estimators.get(name)()
    architectures = config.search.num_architectures(config.search.batch_size)
    return _with_search(config, estimator=estimator.fitted_to(architectures))


def uniform_training(config: Config, epochs: int) -> Config:
    """Return a search that only trains weights, under architectures drawn uniformly.

    As large a share of its epochs has smaller images as of the warm-up.
    """
    search = config.search
    small = round(search.small_epochs * epochs / max(search.warm_up_epochs, 1))
    return _with_search(
        config, warm_up_epochs=epochs, epochs=0, settling_steps=0, small_epochs=small
    )


def _published(config: Config) -> Config:
    """Return the algorithm of UNAS (section 4): rebar, relaxed weights, one architecture an image.

    Its epochs are the published 100, of which 15 warm the weights up, whatever an epoch's steps.

    The gap and the other published terms are those that mean something in the space.
    """
    search = config.search
    published = SearchConfig(
        batch_size=search.batch_size,
        validation_fraction=search.validation_fraction,
        augmentation=search.augmentation,
        estimator=Rebar(),
        schedule="restarted",
    )
    terms = published.objectives.items()
    fitting = {name: term for name, term in terms if term.fits(config.space)}
    space = config.space
    if any(option.name == "bn" for option in fields(space)):
        space = replace(space, bn="batch")  # type: ignore[call-arg]
    return replace(config, space=space, search=replace(published, objectives=fitting))


def _one_path(config: Config) -> Config:
    """Return a search with one path a batch and no gap, its policy on validation images alone."""
    terms = {
        name: term
        for name, term in config.search.objectives.items()
        if not isinstance(term, Objective) or not term.needs_validation
    }
    return _with_search(
        config,
        architectures_per_batch=1,
        balanced=False,
        estimator=Reinforce(),
        weights_on="hard",
        policy_on="validation",
        objectives=terms,
    )


def _with_search(config: Config, **changes: Any) -> Config:
    return replace(config, search=replace(config.search, **changes))
