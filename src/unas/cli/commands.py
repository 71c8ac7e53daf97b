"""The commands, each described once; needs no torch, so that help is immediate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from unas.cli import options

PURPOSE = (
    "Search a network for your images and your device, train it, export it, and prove that it "
    "meets the budget."
)


@dataclass(frozen=True)
class Command:
    """One command.

    Args:
        name: what follows `unas`: a word, or a group's and an action's.
        argument: what comes next.
        summary: what it does, in one line.
        example: a whole command.
        function: "module:function" of `unas.cli`; it gets the command and the words after its name.
        flags: dataclasses of its own flags.
        note: what else to know.
        sets: flags of `unas run` that it sets by itself, and so doesn't take.
    """

    name: str
    argument: str
    summary: str
    example: str
    function: str
    flags: tuple[type[Any], ...] = ()
    note: str = ""
    sets: tuple[str, ...] = ()


_OF_A_RECIPE = (
    "RECIPE is one of `unas list recipes`, or package.module:function. Every field of its\n"
    "configuration is a flag too, such as --seed, --device, --data-root and --search.epochs:\n"
    "`unas {} RECIPE --help` lists them, with the recipe's values."
)
_VERDICT = "\nExit code 1: a budget isn't met."

_COMMANDS = (
    Command(
        "run",
        "RECIPE",
        "search an architecture, train it, export it, measure it",
        "unas run digits --out runs/demo",
        "run:start",
        (options.RunOptions, options.Composition),
        _OF_A_RECIPE.format("run") + _VERDICT,
    ),
    Command(
        "search",
        "RECIPE",
        "search an architecture and choose it",
        "unas search cifar10 --search.epochs 50 --device cuda",
        "run:start",
        (options.RunOptions, options.Composition),
        _OF_A_RECIPE.format("search"),
    ),
    Command(
        "train",
        "RECIPE --genotype NAME|FILE|RUN",
        "train a given architecture from scratch and export it",
        "unas train cifar10 --genotype UNAS_CIFAR10 --training.epochs 100",
        "run:start",
        (options.RunOptions, options.Composition),
        _OF_A_RECIPE.format("train") + _VERDICT,
    ),
    Command(
        "evaluate",
        "RUN",
        "test the network that a run has trained",
        "unas evaluate runs/demo",
        "finished:evaluate",
        (options.EvaluateOptions,),
    ),
    Command(
        "export",
        "RUN",
        "write a run's model.onnx anew, check it and measure it",
        "unas export runs/demo",
        "finished:export",
        (options.ExportOptions,),
    ),
    Command(
        "report",
        "RUN…",
        "draw runs, finished or not, as one HTML file; several are compared",
        "unas report runs/demo",
        "report:report",
        (options.ReportOptions,),
        "Reads the run directories alone, so it works on any machine.\n"
        "`unas report runs/sweep/*/` compares a sweep.",
    ),
    Command(
        "show",
        "GENOTYPE",
        "draw an architecture in the terminal, or as an SVG",
        "unas show UNAS_CIFAR10 --svg cells.svg",
        "show:show",
        (options.ShowOptions,),
        "GENOTYPE is one of `unas list genotypes`, a JSON file or a run directory.",
    ),
    Command(
        "latency measure",
        "MODEL|GENOTYPE|RUN",
        "measure how long a network takes here",
        "unas latency measure UNAS_CIFAR10 --backend eager",
        "latency_measure:measure",
        (options.MeasureOptions,),
        "`unas latency measure GENOTYPE --help` has the size of its network too.",
    ),
    Command(
        "latency fit",
        "RECIPE|SPACE",
        "measure some networks of a space, to predict the latency of all",
        "unas latency fit digits --out predictor.json",
        "latency_fit:fit",
        (options.FitOptions,),
        "`unas latency fit RECIPE --help` has the size of the networks too.",
    ),
    Command(
        "latency check",
        "MODEL|RUN",
        "hold an ONNX file against its budgets",
        "unas latency check model.onnx --budget 'latency<=8ms@onnxruntime' --budget 'macs<=600M'",
        "latency_check:check",
        (options.CheckOptions,),
        "Exit code 0: it meets them all; 1: it doesn't.",
    ),
    Command(
        "sweep",
        "RECIPE,…",
        "many independent runs on all devices, and one table of their results",
        "unas sweep digits --seeds 0,1,2 --set search.epochs=5,10 --jobs 2 --out runs/sweep",
        "sweep:sweep",
        (options.SweepOptions, options.Composition),
        "All other flags are those of `unas run RECIPE`, for every run. Each run has a directory "
        "of\n"
        "its own, and the same command goes on where it was stopped. results.csv and results.md\n"
        "hold the table; the exit code is 1 if a run failed.",
        ("--seed", "--resume", "--quiet", "--dry-run"),
    ),
    Command(
        "lab quality",
        "RECIPE",
        "compare what a search finds with random architectures, all trained alike",
        "unas lab quality digits --cells 20 --seeds 3 --out runs/quality",
        "lab_quality:quality",
        (options.QualityOptions, options.Composition),
        "All other flags are those of `unas run RECIPE`; the same command goes on where it was "
        "stopped.",
    ),
    Command(
        "lab ranking",
        "RECIPE",
        "look up in a table what a search finds, beside rivals in equal time",
        "unas lab ranking nasbench-macro --table nas-bench-macro.json --seeds 5",
        "lab_ranking:measure",
        (options.RankingOptions, options.Composition),
        "All other flags are those of `unas run RECIPE`; the same command goes on where it was\n"
        "stopped. Each rival costs as much time as the search (docs/ranking.md).",
    ),
    Command(
        "lab table",
        "FILE",
        "compare black-box searches on a table of architectures",
        "unas lab table nas-bench-macro.json --metric mean_acc",
        "lab_table:table",
        (options.TableOptions,),
        "FILE is a CSV, or the JSON of NAS-Bench-Macro.",
    ),
    Command(
        "lab estimators",
        "[RECIPE]",
        "measure bias, variance and time of the gradient estimators",
        "unas lab estimators --problem xor --out runs/estimators",
        "lab_estimators:estimators",
        (options.EstimatorsOptions,),
        "On problems whose gradient is known, in two minutes on one core; of a RECIPE, on the\n"
        "supernet that its search ends with: `unas lab estimators RECIPE --help`.",
    ),
    Command(
        "list",
        "[KIND…]",
        "list recipes, genotypes, spaces, estimators, objectives, datasets, backends",
        "unas list recipes",
        "listing:show_list",
    ),
)
COMMANDS: Final[dict[str, Command]] = {command.name: command for command in _COMMANDS}
GROUPS: Final[dict[str, str]] = {
    "latency": "measure how long networks take here, learn to predict it, check budgets",
    "lab": "experiments about the search itself",
}
