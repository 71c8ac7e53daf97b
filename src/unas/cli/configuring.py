"""From words to a configuration: a recipe's, or a run's to go on with, and what flags change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unas.architecture.policy import Policy
from unas.architecture.published import list_genotypes, load_genotype
from unas.budgets.text import BudgetText
from unas.cli.commands import Command
from unas.cli.composition import composed, terms_called, with_named_terms
from unas.cli.flags import flag_name
from unas.cli.options import Composition, RunOptions
from unas.cli.words import require_no_more, take, take_name
from unas.common.documents import parse_json
from unas.common.errors import UserError, one_line_errors
from unas.common.files import is_plain, read_text
from unas.config import Config
from unas.config.components import outside_names
from unas.config.document import config_from_json, config_to_json
from unas.data import registry as datasets
from unas.recipes import recipe
from unas.runs.names import CONFIG, GENOTYPE


def named_recipe(name: str) -> Config:
    """Return the configuration of a recipe.

    Raises:
        UserError: there is none of this name, or its own code fails.
    """
    with one_line_errors(f"recipe {name!r}"):
        return recipe(name)


def configured(command: Command, words: Sequence[str], *options: object) -> tuple[str, Config]:
    """Return the name of a recipe and the configuration that the words make of it.

    Args:
        command: what to name in messages.
        words: the recipe's name and flags.
        options: those of the command, which were taken before; for help and messages.

    Raises:
        UserError: a word is wrong, or the configuration can't be run.
        HelpAskedError: one of the words asks for help.
    """
    chosen, words = take(Composition(), words)
    name, words = take_name(command, words)
    config = with_named_terms(composed(named_recipe(name), chosen), words)
    config, words = take(config, words)
    require_no_more(command, words, *options, chosen, config)
    _check(command, config)
    return name, config


def resumed(command: Command, words: Sequence[str], options: RunOptions, directory: Path) -> Config:
    """Return the configuration of the run in a directory.

    The words may repeat it, and change nothing but where the data are.

    Raises:
        UserError: a word is wrong, or would change the run.
        HelpAskedError: one of the words asks for help.
    """
    chosen, words = take(Composition(), words)
    named = None
    if words and not words[0].startswith("-"):
        name, words = take_name(command, words)
        named = named_recipe(name)
    config = _saved_config(directory, named, chosen, options.trust)
    terms = config.search.objectives
    still_there = tuple(name for name in chosen.without if terms_called(name, terms))
    asked = composed(config, replace(chosen, without=still_there))
    asked, words = take(with_named_terms(asked, words), words)
    require_no_more(command, words, options, chosen, asked)
    moved = replace(config, data_root=asked.data_root)  # that they are the same is seen from them
    if asked != moved:
        raise UserError(_difference(moved, asked, directory))
    kept = directory / GENOTYPE
    # The run has a copy of the architecture that it was given; the file itself may be gone.
    has_copy = moved.genotype is not None and is_plain(kept)
    _check(command, replace(moved, genotype=str(kept)) if has_copy else moved)
    return moved


def _saved_config(
    directory: Path, named: Config | None, chosen: Composition, trusted: Sequence[str]
) -> Config:
    """Return a run's own configuration; only what this command line names is imported for it."""
    names = {chosen.space, chosen.dataset, chosen.estimator, *chosen.objective, *trusted}
    names |= outside_names(named)
    for text in chosen.budget:
        names |= set(BudgetText.of(text).outside_names())
    path = directory / CONFIG
    saved = config_from_json(read_text(path), str(path), {name for name in names if name})
    if named is not None and type(named.dataset) is not type(saved.dataset):
        there, asked = (datasets.name_of(type(config.dataset)) for config in (saved, named))
        raise UserError(f"{directory} holds a run on {there}, not {asked}; use another --out")
    return saved


def _difference(saved: Config, asked: Config, directory: Path) -> str:
    """Return the line for flags that would change a run."""
    before = _leaves(parse_json(config_to_json(saved), "config"))
    after = _leaves(parse_json(config_to_json(asked), "config"))
    path = next((path for path in after if before.get(path) != after[path]), "")
    flag = flag_name(path.removeprefix("runtime."))
    return (
        f"{flag} would change {path} of the run in {directory} from {before.get(path)} to "
        f"{after.get(path)}; go on without it, or use another --out"
    )


def _leaves(value: object, path: str = "") -> dict[str, object]:
    """Return the plain values in a document by their dotted paths."""
    if not isinstance(value, dict):
        return {path: value}
    leaves: dict[str, object] = {}
    for name, item in value.items():
        leaves |= _leaves(item, f"{path}.{name}".lstrip("."))
    return leaves


def _check(command: Command, config: Config) -> None:
    """Refuse what the run would refuse later, before data are loaded or a directory is made.

    Raises:
        UserError: what is wrong.
    """
    config.runtime.build()
    if command.name == "train" and config.genotype is None:
        names = ", ".join(list_genotypes())
        raise UserError(
            f"--genotype is missing; give a published name ({names}), a JSON file or a run "
            "directory"
        )
    if command.name == "search" and config.genotype is not None:
        raise UserError(
            f"--genotype is {config.genotype}, but a search finds its own; use unas train"
        )
    if config.genotype is None:
        Policy(config.space.choices, config.search.softening, config.space.registry_name)
    else:
        blueprint = config.blueprint(num_classes=10, image_shape=(3, 32, 32))
        genotype = load_genotype(config.genotype)
        with one_line_errors(f"the network of {config.genotype} can't be made"):
            blueprint.skeleton(genotype)
