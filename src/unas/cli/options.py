"""The flags of the commands themselves: what each can be told beside the fields of a configuration.

Needs no torch, so that help is immediate.
"""

from __future__ import annotations

from dataclasses import dataclass

from unas.budgets import quantities
from unas.budgets.effort import Effort
from unas.cli.flags import flag

_DATA_ROOT = "where data sets are (default: $UNAS_DATA, else ./data); needed if the run was told"
_TRUST = "package.module:Name, a component of the run that may be imported"
_BUDGET = f"the most that the network may cost, such as {', '.join(quantities.examples())}"
_LARGEST_SEED = 2**64 - 1  # of PyTorch
_IMAGES = "channels, height and width of an image"


@dataclass(frozen=True)
class RunOptions:
    """Where a run is, and whether it is run at all."""

    out: str | None = flag("DIR", "the run directory (default: runs/RECIPE-TIME)")
    resume: bool = flag("", "go on with the run in --out; RECIPE can be left out then")
    trust: tuple[str, ...] = flag("NAME", f"with --resume: {_TRUST}", ())
    quiet: bool = flag("", "show no progress")
    dry_run: bool = flag("", "show the configuration, the steps, memory and time; run nothing")


@dataclass(frozen=True)
class Composition:
    """What a recipe's configuration is made of instead of its own components."""

    space: str | None = flag(
        "NAME", "another search space; terms of the cost that mean nothing in it are left out"
    )
    dataset: str | None = flag("NAME", "another data set")
    estimator: str | None = flag("NAME", "another estimator of the policy's gradient")
    objective: tuple[str, ...] = flag("NAME", "one more term of the search's cost", ())
    without: tuple[str, ...] = flag("NAME", "a term of the search's cost to leave out", ())
    budget: tuple[str, ...] = flag("BUDGET", _BUDGET, ())
    command: str | None = flag(
        "LINE", "of a budget latency<=8ms@command: {model} in it is the path of an ONNX file"
    )


@dataclass(frozen=True)
class EvaluateOptions:
    """Where the data and the device of a test are."""

    data_root: str | None = flag("DIR", _DATA_ROOT)
    device: str = flag("NAME", "auto, cpu, cuda, cuda:N or mps", "auto")
    trust: tuple[str, ...] = flag("NAME", _TRUST, ())


@dataclass(frozen=True)
class ExportOptions:
    """Where the data of a run are, and how its file is written."""

    data_root: str | None = flag("DIR", _DATA_ROOT)
    opset: int | None = flag("INT", "version of ONNX's operators (default: that of the run)")
    trust: tuple[str, ...] = flag("NAME", _TRUST, ())


@dataclass(frozen=True)
class ReportOptions:
    """Where the report goes."""

    out: str | None = flag(
        "FILE",
        "the file (default: report.html in the run; of several runs comparison.html here)",
    )


@dataclass(frozen=True)
class ShowOptions:
    """How an architecture is shown."""

    svg: str | None = flag("FILE", "write a drawing to FILE")
    json: bool = flag("", "print the genotype's JSON instead")


@dataclass(frozen=True)
class ClockOptions:
    """What runs a network to measure it."""

    backend: str = flag(
        "NAME", "eager, compiled, onnxruntime, command or package.module:Class", "onnxruntime"
    )
    command: str | None = flag(
        "LINE", "of the backend command: {model} in it is the path of an ONNX file"
    )
    timeout: float = flag(
        "SECONDS", "of the backend command: the most that one call may take", 60.0
    )
    device: str = flag("NAME", "cpu, cuda or cuda:N", "cpu")
    threads: int | None = flag("N", "CPU threads (default: as many as PyTorch takes)")
    batch: int = flag("N", "images of a forward", 1, at_least=1)


@dataclass(frozen=True)
class MeasureOptions(ClockOptions):
    """How a network is measured."""

    input_shape: tuple[int, ...] | None = flag(
        "C,H,W", f"{_IMAGES} (default: the file's own, or 3,32,32 for a genotype)"
    )
    samples: int = flag("N", "how many runs are taken, after warming up", 50)
    seconds: float = flag("SECONDS", "the most that warming up and measuring take", 10.0)
    trust: tuple[str, ...] = flag("NAME", _TRUST, ())
    json: str | None = flag("FILE", "write the figures to FILE too")


@dataclass(frozen=True)
class FitOptions(ClockOptions):
    """What a predictor of latencies is fitted to."""

    input_shape: tuple[int, ...] | None = flag(
        "C,H,W", f"{_IMAGES} (default: that of the recipe's data, or 3,32,32 for a space)"
    )
    classes: int | None = flag(
        "N",
        "how many the networks tell apart (default: as the recipe's data, or 10 for a space)",
        at_least=1,
    )
    data_root: str | None = flag("DIR", "where data sets are, if the recipe's must be looked at")
    architectures: int | None = flag(
        "N", "how many are measured (default: 32, and one for every two kinds of terms)"
    )
    held_out: int = flag("N", "how many others the predictor is compared with", 20)
    rounds: int = flag(
        "N", "how often each network has its turn: a forward to warm up, three that are clocked", 5
    )
    seed: int = flag("INT", "of what is drawn", 0, at_least=0, at_most=_LARGEST_SEED)
    out: str = flag("FILE", "the predictor's file", "predictor.json")


@dataclass(frozen=True)
class CheckOptions:
    """What is held against an ONNX file, and how."""

    budget: tuple[str, ...] = flag("BUDGET", _BUDGET, ())
    command: str | None = flag(
        "LINE", "of a budget latency<=8ms@command: {model} in it is the path of the file"
    )
    timeout: float = flag("SECONDS", "of a budget @command: the most that one call may take", 60.0)
    device: str = flag("NAME", "where latency and energy are measured: cpu, cuda or cuda:N", "cpu")
    threads: int | None = flag("N", "CPU threads (default: as many as PyTorch takes)")
    samples: int = flag("N", "how many runs a latency is taken from", Effort.samples)
    input_shape: tuple[int, ...] | None = flag("C,H,W", f"{_IMAGES} (default: the file's own)")
    json: str | None = flag("FILE", "write the verdicts to FILE too")


@dataclass(frozen=True)
class SweepOptions:
    """Which runs there are, and where they run."""

    out: str | None = flag("DIR", "a directory for all of them (default: runs/sweep-TIME)")
    seeds: str = flag("LIST", "0,1,2 or 0-4: a run for each", "0")
    settings: tuple[str, ...] = flag(
        "FLAG=A,B", "a run for each value of a flag of `unas run`", (), name="--set"
    )
    budget: tuple[str, ...] = flag(
        "BUDGET", 'a run for each; "macs<=1M & params<=50k" are both at once', ()
    )
    jobs: int | None = flag(
        "N", "how many runs at once on this machine (default: one a GPU, else 1)", at_least=1
    )
    ray: str | None = flag(
        "ADDRESS", "run them on a Ray cluster whose machines share --out (default: here)"
    )


@dataclass(frozen=True)
class QualityOptions:
    """How much is trained to compare what a search finds."""

    out: str | None = flag("DIR", "where to write (default: runs/quality-RECIPE-TIME)")
    cells: int = flag("N", "how many random architectures", 20, at_least=1)
    seeds: int = flag("N", "how many searches, with seeds from --seed on", 1, at_least=1)
    trainings: int = flag(
        "N",
        "how many trainings of each random architecture; 0: as many as searches",
        0,
        at_least=0,
    )
    against: tuple[str, ...] = flag(
        "NAME", "another estimator whose architectures are trained too", ()
    )
    quiet: bool = flag("", "show no progress")


@dataclass(frozen=True)
class RankingOptions:
    """What is looked up in a table, and what the search is compared with."""

    table: str | None = flag("FILE", "every architecture of the space: NAS-Bench-Macro, or a CSV")
    metric: str = flag("NAME", "the table's accuracy", "mean_acc")
    out: str | None = flag("DIR", "where to write (default: runs/ranking-RECIPE-TIME)")
    seeds: int = flag(
        "N", "how many searches, and runs of each rival, with seeds from --seed on", 1, at_least=1
    )
    at: tuple[float, ...] | None = flag(
        "MINUTES,…",
        "when the policy's mode is looked up (default: each epoch's end, ten times at least)",
    )
    rivals: str = flag(
        "NAME,…",
        "what runs as long as the search: random, evolution, published, one-path, names of other "
        "estimators, all or none",
        "all",
    )
    rival_epochs: int = flag("N", "epochs of a random network's training", 5, at_least=1)
    times: float = flag("FACTOR", "rivals get so many times the search's time", 1.0)
    architectures: int = flag(
        "N", "how many Kendall's τ is taken over, of all and of the best tenth", 50, at_least=0
    )
    images: int = flag("N", "validation images that score an architecture", 2000, at_least=1)
    quiet: bool = flag("", "show no progress")


@dataclass(frozen=True)
class TableOptions:
    """What is compared on a table of architectures."""

    metric: str | None = flag("NAME", "the metric that is searched for")
    report: str | None = flag(
        "NAME", "the metric reported for the best by --metric (default: the same)"
    )
    minimize: bool = flag("", "less of the metric is better")
    queries: int = flag("N", "how many different architectures a method may ask for", 200)
    seeds: int = flag("N", "how many runs of each method", 10)
    method: tuple[str, ...] = flag("NAME", "a method to compare (default: all)", ())
    choice: tuple[str, ...] = flag(
        "NAME", "a column that is a choice, where its values don't say so", ()
    )
    out: str | None = flag("DIR", "where to write (default: runs/table-FILE-TIME)")


@dataclass(frozen=True)
class EstimatorsOptions:
    """What is measured on problems whose gradient is known."""

    out: str | None = flag("DIR", "where to write (default: runs/estimators-TIME)")
    problem: tuple[str, ...] = flag("NAME", "a problem (default: all)", ())
    estimator: tuple[str, ...] = flag("NAME", "an estimator beside reinforce (default: all)", ())
    samples: int = flag("N", "architectures for each estimator on each problem", 65_536)
    seed: int = flag("INT", "of the noise", 0, at_least=0, at_most=_LARGEST_SEED)
    quiet: bool = flag("", "show no progress")


@dataclass(frozen=True)
class SupernetOptions:
    """What is measured on the supernet that a recipe's search ends with."""

    out: str | None = flag("DIR", "where to write (default: runs/estimators-RECIPE-TIME)")
    estimator: tuple[str, ...] = flag("NAME", "an estimator to measure (default: all)", ())
    calls: int = flag("N", "gradients of each estimator", 300, at_least=1)
    quiet: bool = flag("", "show no progress")
