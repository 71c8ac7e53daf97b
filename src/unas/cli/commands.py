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
    (
        "--genotype NAME",
        "a published name, a JSON file or a run: train it, search nothing (default: none)",
    ),
    ("--space NAME", "another search space; likewise --dataset and --estimator"),
    ("--objective NAME", "one more term of the search's cost; can be repeated"),
    (
        "--budget B",
        "latency<=8ms@onnxruntime, macs<=600M, params<=4M, memory<=200MB, energy<=50mJ; can be repeated",
    ),
    (
        "--command LINE",
        "of a budget latency<=8ms@command: {model} in it is the path of an ONNX file",
    ),
    ("--trust NAME", "with --resume: a component of the run that may be imported; can be repeated"),
)
_RUN_NOTE = (
    "RECIPE is one of `unas list recipes`, or package.module:function. Every field of its configuration is a flag:\n"
    "`unas {name} RECIPE --help` lists them with their units and that recipe's values. Exit code 1: a budget isn't met."
)
_ON_A_RUN = (
    (
        "--data-root DIR",
        "where data sets are (default: $UNAS_DATA, else ./data); needed if the run was told",
    ),
    (
        "--trust NAME",
        "package.module:Name, a component of the run that may be imported; can be repeated",
    ),
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
    "report": Command(
        "report RUN… [--out FILE]", "draw runs, finished or not, as one HTML file; several are compared",
        "unas report runs/demo", "report", "report",
        (("--out FILE", "the file (default: report.html in the run; of several runs comparison.html here)"),),
        "Reads the run directories alone, so it works on any machine. `unas report runs/sweep/*/` compares a sweep.",
    ),
    "latency": Command(
        "latency measure MODEL|GENOTYPE|RUN | latency fit RECIPE | latency check MODEL --budget B [flags]",
        "measure how long networks take here, learn to predict it, check budgets",
        "unas latency check model.onnx --budget 'latency<=8ms@onnxruntime' --budget 'macs<=600M'",
        "latency", "latency",
        (
            ("--backend NAME", "eager, compiled, onnxruntime or command (default: onnxruntime)"),
            ("--command LINE", "of the backend command: {model} in it is the path of an ONNX file"),
            ("--threads N", "CPU threads (default: as many as PyTorch takes)"),
            ("--samples N", "measure, check: how many runs (default: 50, 100)"),
            ("--batch N", "measure, fit: images of a forward (default: 1)"),
            ("--device NAME", "cpu, cuda or cuda:N (default: cpu)"),
            ("--budget B", "check: latency<=8ms@onnxruntime, macs<=600M, params<=4M, memory<=200MB or energy<=50mJ"),
            ("--out FILE", "fit: the predictor's file (default: predictor.json)"),
            ("--json FILE", "measure, check: write the figures to FILE too (default: none)"),
        ),
        "check ends with exit code 0 if every budget is met and with 1 if not. `unas latency ACTION NAME --help` has\n"
        "all flags of an action.",
    ),
    "sweep": Command(
        "sweep RECIPE[,RECIPE…] [flags]", "many independent runs on all devices, and one table of their results",
        "unas sweep digits --seeds 0,1,2 --set search.epochs=5,10 --jobs 2 --out runs/sweep", "sweep", "sweep",
        (
            ("--seeds LIST", "0,1,2 or 0-4: a run for each (default: 0)"),
            ("--set FLAG=A,B", "a run for each value of a flag of `unas run`, without dashes; can be repeated"),
            ("--budget B", "a run for each; \"macs<=1M & params<=50k\" are both at once; can be repeated"),
            ("--jobs N", "how many runs at once on this machine (default: one a GPU, else 1)"),
            ("--ray ADDRESS", "run them on a Ray cluster whose machines share --out (default: here)"),
            ("--out DIR", "a directory for all of them (default: runs/sweep-TIME)"),
        ),
        "All other flags are those of `unas run RECIPE`, for every run. Each run has a directory of its own, and the\n"
        "same command goes on where it was stopped. results.csv and results.md hold the table; the exit code is 1 if\n"
        "a run failed.",
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
        "lab quality RECIPE | lab table FILE --metric NAME | lab estimators [RECIPE] [flags]",
        "experiments about the search itself",
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
            ("--problem NAME", "estimators: a problem; can be repeated (default: all)"),
            ("--estimator NAME", "estimators: an estimator beside reinforce; can be repeated (default: all)"),
            ("--samples N", "estimators: architectures for each of them on each problem (default: 65536)"),
            ("--calls N", "estimators RECIPE: gradients of each estimator (default: 300)"),
            ("--out DIR", "where to write (default: runs/NAME-TIME)"),
        ),
        "quality compares what a search finds with random architectures of its space, all trained alike; it takes all\n"
        "flags of `unas run RECIPE`, and the same command goes on where it was stopped. table compares black-box\n"
        "searches on a table of architectures, a CSV or the JSON of NAS-Bench-Macro. estimators measures bias,\n"
        "variance and time of the gradient estimators on problems whose gradient is known; two minutes on one core.\n"
        "estimators RECIPE measures variance and time on the supernet that the recipe's search ends with.",
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
