"""`unas run`, `search` and `train`: from a recipe and flags to a run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unas import pipeline
from unas.architecture.policy import Policy
from unas.architecture.published import list_genotypes, load_genotype
from unas.budgets.budget import Budget, read_budgets
from unas.budgets.text import BudgetText
from unas.cli.commands import COMMANDS
from unas.cli.composition import FLAGS, component_name, with_components
from unas.cli.flags import flag_name, parse
from unas.cli.output import print_dry_run, print_result
from unas.cli.words import take_flag, take_name
from unas.common.documents import parse_json
from unas.common.errors import UserError, one_line_errors
from unas.common.files import read_text
from unas.compute.torchrun import can_restart, rank
from unas.config import Config
from unas.config.components import outside_names
from unas.config.document import config_from_json, config_to_json
from unas.latency import backends
from unas.pipeline.opening import new_directory
from unas.recipes import recipe
from unas.runs.names import CONFIG, holds_run

_FLAT = ("config", "runtime", "resume", "quiet", "dry_run")


@dataclass(frozen=True)
class Options:
    """What to run and where.

    Args:
        out: the run directory; none is runs/RECIPE-TIME.
        resume: go on with the run in --out; RECIPE can be left out then.
        quiet: show no progress.
        dry_run: show the configuration, the steps, memory and time; run nothing.
        space: another search space, by its name or package.module:Class.
        dataset: another data set, likewise.
        estimator: another estimator of the policy's gradient, likewise.
        objective: one more term of the search's cost, likewise; can be repeated.
        budget: the most that the network may cost, such as "latency<=8ms@onnxruntime" or
            "macs<=600M"; can be repeated.
        command: of a latency budget @command: a command line; {model} in it is the path of an ONNX
            file.
        trust: with --resume, a component package.module:Name of the run that may be imported; can
            be repeated.
        config: the configuration.
    """

    config: Config
    space: str
    dataset: str
    estimator: str
    objective: str | None = None
    budget: str | None = None
    command: str | None = None
    trust: str | None = None
    out: str | None = None
    resume: bool = False
    quiet: bool = False
    dry_run: bool = False


def start(command: str, words: list[str]) -> int:
    """Do the command "run", "search" or "train" with the words that follow it; return 1 if a budget isn't met, else 0.

    Raises:
        UserError: a word is wrong, or the run can't be done.
        Interrupted: the user stopped it.
    """
    name, options = configured(command, words)
    is_main = rank() == 0
    if options.dry_run:
        if is_main:
            print_dry_run(options.config)
        return 0
    if not options.out and can_restart():
        raise UserError(
            "--out is missing; with --max-restarts a restarted run must find the directory of the first"
        )
    out = options.out or new_directory(str(name).rpartition(":")[2])
    run = {"run": pipeline.run, "search": pipeline.search, "train": pipeline.train}[command]
    result = run(options.config, out, resume=options.resume, quiet=options.quiet)
    if not is_main:
        return 0  # rank 0 has the verdicts on the exported file
    print_result(result)
    if all(verdict["passed"] for verdict in result.summary.get("budgets", ())):
        return 0
    if can_restart():  # torchrun would do the end of the run again, with the same outcome
        print(
            "exit code 0 for all that: torchrun --max-restarts would repeat the run's end",
            file=sys.stderr,
        )
        return 0
    return 1


def configured(command: str, words: list[str]) -> tuple[str | None, Options]:
    """Return the recipe's name, if one is given, and what the words make of it.

    Raises:
        UserError: a word is wrong, or the configuration can't be run.
    """
    saved, outs = None, take_flag(words, "--out")[0]
    is_resumed = "--resume" in words
    if is_resumed and not outs:
        raise UserError("--resume needs --out DIR, the run to go on with")
    if is_resumed and holds_run(outs[0]):
        saved = Path(outs[0])
    name, words = _recipe_name(command, words, saved)
    trusted, words = take_flag(words, "--trust")
    for text in take_flag(words, "--budget")[0]:
        trusted += BudgetText.of(text).outside_names()
    chosen: dict[str, list[str]] = {}
    for flag in FLAGS:
        chosen[flag], words = take_flag(words, flag)
    config = _named_recipe(name) if name else None
    if saved:
        config = _saved_config(saved, config, chosen, trusted)
    assert config is not None  # noqa: S101 - a name or a saved run is there
    config_here, words = _with_budgets(with_components(config, chosen), words)
    options = _options(command, name, config_here, words)
    if saved and options.config != config:
        raise UserError(_difference(config, options.config, saved))
    _check(command, options.config)
    return name, options


def _recipe_name(
    command: str, words: list[str], saved: Path | None
) -> tuple[str | None, list[str]]:
    if saved and (not words or words[0].startswith("-")):
        return None, words
    return take_name(words, "RECIPE", f"unas {command} digits")


def _with_budgets(config: Config, words: list[str]) -> tuple[Config, list[str]]:
    """Return the configuration with the budgets of `--budget`, and the other words."""
    texts, words = take_flag(words, "--budget")
    commands, words = take_flag(words, "--command")
    if texts or commands:
        config = replace(config, budgets=budgets_of(texts, commands[-1] if commands else None))
    return _with_named_terms(config, words), words


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


def _with_named_terms(config: Config, words: Sequence[str]) -> Config:
    """Return the configuration with the terms of its budgets whose options are among the words."""
    terms = dict(config.search.objectives)
    for name, term in config.steered_search().objectives.items():
        prefix = flag_name(f"search.objectives.{name}.")
        if any(word.startswith(prefix) for word in words):
            terms[name] = term
    return replace(config, search=replace(config.search, objectives=terms))


def _named_recipe(name: str) -> Config:
    with one_line_errors(f"recipe {name!r}"):
        return recipe(name)


def _saved_config(
    directory: Path, named: Config | None, chosen: dict[str, list[str]], trusted: Sequence[str]
) -> Config:
    """Return a run's own configuration; only what this command line names is imported for it."""
    named_here = (
        {name for names in chosen.values() for name in names} | outside_names(named) | set(trusted)
    )
    path = directory / CONFIG
    saved = config_from_json(read_text(path), str(path), named_here)
    if named is not None and type(named.dataset) is not type(saved.dataset):
        raise UserError(
            f"{directory} holds a run on {component_name(saved.dataset, '--dataset')}, not "
            f"{component_name(named.dataset, '--dataset')}; use another --out"
        )
    return saved


def _options(command: str, name: str | None, config: Config, words: list[str]) -> Options:
    defaults = Options(
        config,
        space=component_name(config.space, "--space"),
        dataset=component_name(config.dataset, "--dataset"),
        estimator=component_name(config.search.estimator, "--estimator"),
    )
    program = f"unas {command} {name}" if name else f"unas {command}"
    does = COMMANDS[command.split(maxsplit=1)[0]].summary
    about = f"{does[0].upper()}{does[1:]}.\n\nexample: {program} --seed 1 --search.epochs 20 --out runs/mine"
    parsed: Options = parse(defaults, words, program, about, _FLAT)
    return parsed


def _difference(saved: Config, asked: Config, directory: Path) -> str:
    """Return the line for flags that would change a run."""
    before, after = (
        _leaves(parse_json(config_to_json(config), "config"), "") for config in (saved, asked)
    )
    path = next((path for path in after if before.get(path) != after[path]), "")
    flag = flag_name(path.removeprefix("runtime."))
    return (
        f"{flag} would change {path} of the run in {directory} from {before.get(path)} to {after.get(path)}; "
        "go on without it, or use another --out"
    )


def _leaves(value: object, path: str) -> dict[str, object]:
    if not isinstance(value, dict):
        return {path: value}
    return {
        key: leaf
        for name, item in value.items()
        for key, leaf in _leaves(item, f"{path}.{name}".strip(".")).items()
    }


def _check(command: str, config: Config) -> None:
    """Refuse what the run would refuse later, before data is loaded or a directory made.

    Raises:
        UserError: what is wrong.
    """
    config.runtime.build()
    if command == "train" and config.genotype is None:
        names = ", ".join(list_genotypes())
        raise UserError(
            f"--genotype is missing; give a published name ({names}), a JSON file or a run directory"
        )
    if config.genotype is None:
        Policy(config.space.choices, config.search.softening, config.space.registry_name)
        return
    if command == "search":
        raise UserError(
            f"--genotype is {config.genotype}, but a search finds its own; use unas train"
        )
    config.blueprint(num_classes=10, image_shape=(3, 32, 32)).skeleton(
        load_genotype(config.genotype)
    )
