"""Components chosen by name on the command line, put into a configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from unas.common.errors import UserError
from unas.config import Config
from unas.config.components import NAMES, component_class, import_callable
from unas.config.document import is_required, naming
from unas.data import Dataset
from unas.estimators import Estimator
from unas.objectives import PolicyTerm, Term
from unas.spaces import SearchSpace
from unas.spaces.module import ModuleSpace

FLAGS: dict[str, type] = {
    "--space": SearchSpace,
    "--dataset": Dataset,
    "--estimator": Estimator,
    "--objective": Term,
}


def with_components(config: Config, chosen: Mapping[str, list[str]]) -> Config:
    """Return the configuration with other components in it; those that it has already are left as they are.

    Args:
        config: where to put them.
        chosen: the names given to each of `FLAGS`. An objective is one more term, the others take
            the old one's place.

    Raises:
        UserError: there is no such component, or it has options without a default.
    """
    for flag in ("--space", "--dataset", "--estimator"):
        if len(chosen[flag]) > 1:
            raise UserError(f"{flag} is given twice; leave one out")
    for name in chosen["--space"]:
        space = _made("--space", name, config.space)
        if space is not config.space:
            config = replace(config, space=space, network=space.network_options())
    for name in chosen["--dataset"]:
        config = replace(config, dataset=_made("--dataset", name, config.dataset))
    for name in chosen["--estimator"]:
        made = _made("--estimator", name, config.search.estimator)
        config = replace(config, search=replace(config.search, estimator=made))
    for name in chosen["--objective"]:
        config = _with_term(config, name)
    return config


def component_name(component: object, flag: str) -> str:
    """Return the name that a component has after its flag."""
    return NAMES[FLAGS[flag]].name_of(type(component))


def _with_term(config: Config, name: str) -> Config:
    terms = config.search.objectives
    cls = component_class(Term, name, [name])
    if any(type(term) is cls for term in terms.values()):
        return config
    key = (
        re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        if ":" in name
        else name.replace("-", "_")
    )
    return replace(
        config,
        search=replace(config.search, objectives={**terms, key: _made("--objective", name, None)}),
    )


def _made(flag: str, name: str, current: Any) -> Any:
    """Return a component with its default options; `current` if it is the one that is named."""
    base = FLAGS[flag]
    if (
        base is SearchSpace
        and ":" in name
        and not _is_space(found := import_callable(name, [name]))
    ):
        made = ModuleSpace(found)
        return current if made == current else made
    cls = component_class(base, name, [name])
    if type(current) is cls:
        return current
    missing = [field.name for field in fields(cls) if is_required(field)]
    if missing:
        raise UserError(f"{flag} {name} needs {', '.join(missing)}; {_how(cls)}")
    with naming(f"{flag} {name}"):
        return cls()


def _is_space(found: object) -> bool:
    return isinstance(found, type) and issubclass(found, SearchSpace)


def _how(cls: type) -> str:
    if issubclass(cls, PolicyTerm):
        return 'give a budget, such as --budget "macs<=600M"'
    if cls is ModuleSpace:
        return "name the model itself: --space package.module:MyNet"
    return "put it into a recipe of your own, package.module:function"
