"""Components from outside the package go through every command.

The kinds are those that a configuration can name, the commands those of the command line: a new one
of either is found here, and fails until it goes with the others.
"""

from __future__ import annotations

import inspect
import json
import re
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import outside
from unas.cli import main
from unas.cli.commands import COMMANDS, Command
from unas.cli.options import Composition
from unas.config.components import REGISTRIES, outside_names
from unas.recipes import recipe

SUPPORT = Path(outside.__file__).parent
KINDS = {registry.kind.split()[-1]: base for base, registry in REGISTRIES.items()}
RECIPES = ("outside:outside_recipe", "outside:model_recipe")
# What keeps a command short, by the names of its flags.
# A table lists all architectures of a space; tests/lab/test_ranking.py has one from outside.
NEED_A_TABLE = {"lab ranking"}
QUICK = {"cells": 1, "architectures": 8, "held_out": 0, "rounds": 1}


def components(kind: str) -> list[str]:
    """Return the names of the components from outside of a kind."""
    base = KINDS[kind]
    names = []
    for cls in vars(outside).values():
        is_component = (
            inspect.isclass(cls) and issubclass(cls, base) and not inspect.isabstract(cls)
        )
        if is_component and cls.__module__ == outside.__name__:
            names.append(REGISTRIES[base].name_of(cls))
    return names


def budgets() -> list[str]:
    (clock,), (quantity,) = components("backend"), components("quantity")
    return [f"latency<=1000ms@{clock}", f"{quantity}<=1000", "macs<=100M"]


def trust(name: str) -> list[str]:
    """Return the words that trust all code from outside of a recipe's run."""
    return [word for code in sorted(outside_names(recipe(name))) for word in ("--trust", code)]


def flags_of(command: Command) -> dict[str, Any]:
    """Return the fields of a command's own flags, by name."""
    return {field.name: field for options in command.flags for field in fields(options)}


def cases() -> list[Any]:
    """Return each command with each kind of name that it takes, and the recipe that is run."""
    found = []
    for command in COMMANDS.values():
        if command.name in {"run", *NEED_A_TABLE}:  # `finished_runs` has done the former
            continue
        for argument in re.findall("RECIPE|RUN|GENOTYPE|MODEL", command.argument.split(" --")[0]):
            # What a recipe is made of is new to a command once; what a run left, each time.
            names = RECIPES[:1] if argument == "RECIPE" else RECIPES
            found += [
                pytest.param(command, argument, name, id=f"{command.name} {argument} {name}")
                for name in names
            ]
    return found


def words_of(command: Command, argument: str, name: str, run: Path, out: Path) -> list[str]:
    """Return the words of a command about a recipe or its run."""
    flags = flags_of(command)
    argument_words = {"RECIPE": name, "MODEL": str(run / "model.onnx")}
    words = [*command.name.split(), argument_words.get(argument, str(run))]
    if "--genotype" in command.argument:
        words += ["--genotype", str(run)]
    if "out" in flags:
        words += ["--out", str(out)]
    if "backend" in flags:
        words += ["--backend", *components("backend")]
    if argument == "RECIPE" and "problem" in flags:  # of a recipe instead of a problem
        words += ["--calls", "20"]
    if argument != "RECIPE":
        words += ["--samples", "6"] if "samples" in flags else []
        words += trust(name) if "trust" in flags else []
        words += [word for text in budgets() if "budget" in flags for word in ("--budget", text)]
    for flag in sorted(flags.keys() & QUICK.keys()):
        words += [f"--{flag.replace('_', '-')}", str(QUICK[flag])]
    return words


@pytest.fixture(scope="module")
def finished_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each recipe; for reading only."""
    runs = {}
    for name in RECIPES:
        runs[name] = tmp_path_factory.mktemp("outside") / "run"
        assert main(["run", name, "--out", str(runs[name]), "--quiet"]) == 0
    return runs


@pytest.fixture
def run(request: pytest.FixtureRequest, finished_runs: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the run of the recipe that the test names."""
    source = finished_runs[request.node.callspec.params["name"]]
    return Path(shutil.copytree(source, tmp_path / "run"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_has_a_component_of_each_kind_from_outside(kind: str) -> None:
    assert components(kind), f"tests/support/outside.py has no {kind}"
    used = outside_names(recipe(RECIPES[0]))
    assert used >= set(components(kind))


@pytest.mark.parametrize(("command", "argument", "name"), cases())
def test_a_command_takes_components_from_outside(
    *,
    command: Command,
    argument: str,
    name: str,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT), prepend=":")  # for processes of their own
    out = tmp_path / "out"
    assert main(words_of(command, argument, name, run, out)) == 0
    assert "out" not in flags_of(command) or out.exists()


TRUSTING = [name for name, command in COMMANDS.items() if "trust" in flags_of(command)]


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_goes_on_with_components_from_outside(name: str, run: Path) -> None:
    before = (run / "config.json").read_bytes(), (run / "genotype.json").read_bytes()
    assert main(["run", "--resume", "--out", str(run), *trust(name)]) == 0
    assert main(["run", name, "--resume", "--out", str(run)]) == 0
    assert before == ((run / "config.json").read_bytes(), (run / "genotype.json").read_bytes())


@pytest.mark.parametrize("name", RECIPES)
def test_nothing_is_imported_because_a_file_names_it(
    name: str,  # noqa: ARG001  the fixture asks for it
    run: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for command in TRUSTING:
        flags = flags_of(COMMANDS[command])
        words = command.split()
        words += ["--resume", "--out", str(run)] if "resume" in flags else [str(run)]
        if "backend" in flags:
            words += ["--backend", "eager"]
        assert main(words) == 2, command
        assert "if you trust it, add --trust outside:" in capsys.readouterr().err


@pytest.mark.parametrize("name", RECIPES)
def test_a_trusted_run_is_measured_in_pytorch(name: str, run: Path) -> None:
    for command in ("evaluate", "latency measure --backend eager"):
        assert main([*command.split(), str(run), *trust(name)]) == 0


def test_flags_put_components_from_outside_into_a_recipe(tmp_path: Path) -> None:
    words = ["search", "outside:plain_recipe", "--out", str(tmp_path / "run")]
    for kind in KINDS:
        if kind in {field.name for field in fields(Composition)}:
            words += [word for name in components(kind) for word in (f"--{kind}", name)]
    words += [word for text in budgets() for word in ("--budget", text)]
    assert main(words) == 0
    text = (tmp_path / "run" / "config.json").read_text()
    assert json.loads(text)["space"]["name"] == "outside:OutsideSpace"
    for kind in KINDS:
        assert all(name in text for name in components(kind)), kind
    assert main([*words, "--resume"]) == 0
