"""The commands and their short help, which needs no other module and so is immediate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PURPOSE = "Search a network for your images and your device, train it, export it, and prove that it meets the budget."


@dataclass(frozen=True)
class Command:
    """One command.

    Args:
        usage: what follows `unas`.
        summary: one line.
        example: a whole command.
        module: the module of `unas.cli` that does it.
        function: the function there, of the command's name and the words that follow it.
        options: (flag, what it does) of those worth naming here.
        note: what else to know.
    """

    usage: str
    summary: str
    example: str
    module: str
    function: str
    options: tuple[tuple[str, str], ...] = ()
    note: str = ""


_RUN_OPTIONS = (
    ("--out DIR", "the run directory (default: runs/RECIPE-TIME)"),
    ("--resume", "go on with the run in --out; RECIPE can be left out then (default: off)"),
    ("--quiet", "show no progress (default: off)"),
    ("--dry-run", "show the configuration, the steps, memory and time; run nothing (default: off)"),
    ("--seed INT", "of everything random (default: 0)"),
    ("--device NAME", "auto, cpu, cuda, cuda:N or mps (default: auto)"),
    ("--precision NAME", "auto, float32 or bfloat16 (default: auto)"),
    ("--data-root DIR", "where data sets are (default: $UNAS_DATA, else ./data)"),
    ("--genotype NAME", "a published name, a JSON file or a run: train it, search nothing (default: none)"),
    ("--space NAME", "another search space; likewise --dataset and --estimator"),
    ("--objective NAME", "one more term of the search's cost; can be repeated"),
    ("--trust NAME", "with --resume: a component of the run that may be imported; can be repeated"),
)
_RUN_NOTE = (
    "RECIPE is one of `unas list recipes`, or package.module:function. Every field of its configuration is a flag:\n"
    "`unas {name} RECIPE --help` lists them with their units and that recipe's values."
)
_ON_A_RUN = (
    ("--data-root DIR", "where data sets are, if not where the run had them (default: as in the run)"),
    ("--trust NAME", "package.module:Name, a component of the run that may be imported; can be repeated"),
)

COMMANDS: Final[dict[str, Command]] = {
    "run": Command(
        "run RECIPE [flags]", "search an architecture, train it, export it, measure it",
        "unas run digits --out runs/demo", "run", "start", _RUN_OPTIONS, _RUN_NOTE,
    ),
    "search": Command(
        "search RECIPE [flags]", "search an architecture and choose it",
        "unas search cifar10 --search.epochs 50 --device cuda", "run", "start", _RUN_OPTIONS, _RUN_NOTE,
    ),
    "train": Command(
        "train RECIPE --genotype NAME|FILE|RUN [flags]", "train a given architecture from scratch and export it",
        "unas train cifar10 --genotype UNAS_CIFAR10 --training.epochs 100", "run", "start", _RUN_OPTIONS, _RUN_NOTE,
    ),
    "evaluate": Command(
        "evaluate RUN [flags]", "test the network that a run has trained",
        "unas evaluate runs/demo", "finished", "evaluate",
        (*_ON_A_RUN, ("--device NAME", "auto, cpu, cuda, cuda:N or mps (default: auto)")),
    ),
    "export": Command(
        "export RUN [flags]", "write a run's model.onnx anew, check it and measure it",
        "unas export runs/demo", "finished", "export", _ON_A_RUN,
    ),
    "show": Command(
        "show GENOTYPE [flags]", "draw an architecture in the terminal, or as an SVG",
        "unas show UNAS_CIFAR10 --svg cells.svg", "show", "show",
        (
            ("--svg FILE", "write a drawing to FILE (default: none)"),
            ("--json", "print the genotype's JSON instead (default: off)"),
        ),
        "GENOTYPE is one of `unas list genotypes`, a JSON file or a run directory.",
    ),
    "lab": Command(
        "lab quality RECIPE | lab table FILE --metric NAME [flags]", "experiments about the search itself",
        "unas lab quality digits --cells 20 --seeds 3 --out runs/quality", "lab", "lab",
        (
            ("--cells N", "quality: how many random architectures (default: 20)"),
            ("--seeds S", "how many searches and trainings (default: 1), or runs on a table (default: 10)"),
            ("--against NAME", "quality: another estimator whose findings are trained too; can be repeated"),
            ("--queries N", "table: how many different architectures a method may ask for (default: 200)"),
            ("--report NAME", "table: the metric reported for the best by --metric (default: the same)"),
            ("--minimize", "table: less of the metric is better (default: off)"),
            ("--method NAME", "table: a method to compare; can be repeated (default: all)"),
            ("--choice NAME", "table: a CSV column that is a choice, where its values don't say so; can be repeated"),
            ("--out DIR", "where to write (default: runs/NAME-TIME)"),
        ),
        "quality compares what a search finds with random architectures of its space, all trained alike; it takes all\n"
        "flags of `unas run RECIPE`, and the same command goes on where it was stopped. table compares black-box\n"
        "searches on a table of architectures, a CSV or the JSON of NAS-Bench-Macro.",
    ),
    "list": Command(
        "list [KIND]", "list recipes, genotypes, spaces, estimators, objectives, datasets, backends",
        "unas list recipes", "listing", "show_list",
    ),
}  # fmt: skip


def overview() -> str:
    """Return what `unas --help` prints."""
    width = max(len(name) for name in COMMANDS) + 2
    lines = [f"  {name:<{width}}{command.summary}" for name, command in COMMANDS.items()]
    examples = [f"  {COMMANDS[name].example}" for name in ("run", "train", "show")]
    return "\n".join(
        [
            "usage: unas COMMAND ...",
            "",
            PURPOSE,
            "",
            "commands:",
            *lines,
            "",
            "examples:",
            *examples,
            "",
            "unas COMMAND --help tells more; unas --version prints the version.",
        ]
    )


def command_help(name: str) -> str:
    """Return what `unas COMMAND --help` prints."""
    command = COMMANDS[name]
    options = (*command.options, ("--help", "show this"))
    width = max(len(flag) for flag, _ in options) + 2
    parts = [
        f"usage: unas {command.usage}",
        command.summary[0].upper() + command.summary[1:] + ".",
        *([command.note.format(name=name)] if command.note else []),
        "\n".join(["options:", *(f"  {flag:<{width}}{text}" for flag, text in options)]),
        f"example:\n  {command.example}",
    ]
    return "\n\n".join(parts)
