"""Components chosen by name on the command line, put into a configuration."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from unas import objectives
from unas.budgets.budget import Budget, read_budgets
from unas.cli.flags import flag_name
from unas.cli.options import Composition
from unas.common.errors import UserError, naming
from unas.common.registry import is_built_in, one_of
from unas.config import Config
from unas.config.components import component_class, import_callable
from unas.config.document import is_required
from unas.data import Dataset
from unas.estimators import Estimator
from unas.latency import backends
from unas.objectives import CountOf, PolicyTerm, Term
from unas.spaces import SearchSpace
from unas.spaces.module import ModuleSpace

_log = logging.getLogger("unas.cli")


def composed(config: Config, chosen: Composition) -> Config:
    """Return a configuration with the chosen components.

    Those that it has already stay as they are.

    Raises:
        UserError: there is no such component, or it has options without a default.
    """
    if chosen.space is not None:
        config = _with_space(config, chosen.space)
    if chosen.dataset is not None:
        dataset = _component(Dataset, "--dataset", chosen.dataset, config.dataset)
        config = replace(config, dataset=dataset)
    if chosen.estimator is not None:
        estimator = _component(Estimator, "--estimator", chosen.estimator, config.search.estimator)
        config = replace(config, search=replace(config.search, estimator=estimator))
    terms = dict(config.search.objectives)
    for name in chosen.objective:
        _add_term(terms, name)
    for name in chosen.without:
        _remove_term(terms, name)
    config = _with_terms(config, terms)
    if chosen.budget or chosen.command is not None:
        config = replace(config, budgets=budgets_of(chosen.budget, chosen.command))
    return config


def _with_space(config: Config, name: str) -> Config:
    """Return the configuration with another space, without the terms that mean nothing in it."""
    space = _space(name, config.space)
    if space is config.space:
        return config
    terms = dict(config.search.objectives)
    for term_name, term in config.search.objectives.items():
        if not term.fits(space):
            del terms[term_name]
            _log.info("%s is left out of the cost: it means nothing in %s", term_name, name)
    return _with_terms(replace(config, space=space, network=space.network_options()), terms)


def _space(name: str, current: SearchSpace) -> SearchSpace:
    """Return a space by its name, or the space of a model's architectures by the model's name."""
    if not is_built_in(name):
        named: Any = import_callable(name, [name])
        if not (isinstance(named, type) and issubclass(named, SearchSpace)):
            of_model: SearchSpace = ModuleSpace(named)
            return current if of_model == current else of_model
    space: SearchSpace = _component(SearchSpace, "--space", name, current)
    return space


def _add_term(terms: dict[str, Term], name: str) -> None:
    """Add a term to those of the cost, unless there is one of its class."""
    cls = component_class(Term, name, [name])
    if any(type(term) is cls for term in terms.values()):
        return
    key = name.replace("-", "_")
    if not is_built_in(name):
        key = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
    terms[key] = _component(Term, "--objective", name, None)


def _remove_term(terms: dict[str, Term], name: str) -> None:
    """Remove a term from those of the cost.

    Raises:
        UserError: there is none of this name.
    """
    keys = terms_called(name, terms)
    if not keys:
        raise UserError(f"--without {name}: there is no such term; {one_of(name, tuple(terms))}")
    for key in keys:
        del terms[key]


def terms_called(name: str, terms: Mapping[str, Term]) -> list[str]:
    """Return the names of the terms that are called `name`, or whose component is."""
    return [
        key for key, term in terms.items() if name in {key, objectives.registry.name_of(type(term))}
    ]


def _with_terms(config: Config, terms: dict[str, Term]) -> Config:
    if terms == dict(config.search.objectives):
        return config
    return replace(config, search=replace(config.search, objectives=terms))


def budgets_of(
    texts: Sequence[str], command: str | None, timeout_seconds: float = 60.0
) -> tuple[Budget, ...]:
    """Return the budgets of a command line.

    Args:
        texts: what follows each `--budget`.
        command: what follows `--command`.
        timeout_seconds: how long one call of the command may take.

    Raises:
        UserError: a budget can't be read, or the command is for none of them.
    """
    if command is None:
        return read_budgets(texts)
    named = backends.create("command", command=command, timeout_seconds=timeout_seconds)
    budgets = read_budgets(texts, {"command": named})
    if all(budget.backend is not named for budget in budgets):
        raise UserError(
            "--command is given, but no budget is @command; write it like latency<=8ms@command"
        )
    return budgets


def with_named_terms(config: Config, words: Sequence[str]) -> Config:
    """Return the configuration with the terms of its budgets whose options are among the words."""
    terms = dict(config.search.objectives)
    for name, term in config.steered_search().objectives.items():
        prefix = flag_name(f"search.objectives.{name}.")
        is_named = any(word.startswith(prefix) for word in words)
        if is_named and not isinstance(term, CountOf):  # config.json has no name for that one
            terms[name] = term
    return _with_terms(config, terms)


def _component(base: type[Any], flag: str, name: str, current: Any) -> Any:
    """Return a component with its default options; `current` if it is the one that is named."""
    cls = component_class(base, name, [name])
    if type(current) is cls:
        return current
    missing = [field.name for field in fields(cls) if is_required(field)]
    if missing:
        raise UserError(f"{flag} {name} needs {', '.join(missing)}; {_other_way(cls)}")
    with naming(f"{flag} {name}"):
        return cls()


def _other_way(cls: type) -> str:
    if issubclass(cls, PolicyTerm):
        return 'give a budget, such as --budget "macs<=600M"'
    if cls is ModuleSpace:
        return "name the model itself: --space package.module:MyNet"
    return "put it into a recipe of your own, package.module:function"
