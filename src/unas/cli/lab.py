"""`unas lab`: experiments about the search itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unas.cli.flags import parse
from unas.cli.output import print_rows
from unas.cli.run import configured
from unas.cli.words import take_count, take_flag, take_name
from unas.common.errors import UserError
from unas.common.registry import one_of
from unas.pipeline.opening import new_directory


def lab(command: str, words: list[str]) -> None:
    """Do `unas lab` with the words that follow it.

    Raises:
        UserError: a word is wrong.
    """
    name, words = take_name(words, "the experiment", f"unas {command} quality digits")
    if name not in EXPERIMENTS:
        raise UserError(f"unas {command} {name} does not exist; {one_of(name, tuple(EXPERIMENTS))}")
    EXPERIMENTS[name](f"{command} {name}", words)


def _quality(command: str, words: list[str]) -> None:
    from unas.lab.quality import quality

    cells, words = take_count("--cells", 20, words)
    seeds, words = take_count("--seeds", 1, words)
    against, words = take_flag(words, "--against")
    name, options = configured(command, words)
    out = Path(options.out) if options.out else new_directory(f"quality-{name}".replace(":", "-"))
    report = quality(options.config, out, cells, seeds, against, quiet=options.quiet)
    plot = ("plot", report["plot"] or report["plot_missing"])
    print_rows([*_quality_rows(report), *_collapse_rows(report), plot, ("directory", str(out))])


def _estimators(command: str, words: list[str]) -> None:
    from unas.cli.lab_estimators import estimators

    estimators(command, words)


def _quality_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        (
            "random, median",
            f"{100 * report['random_median']:.2f} % test accuracy of {report['cells']} cells",
        )
    ]
    for label, place in report["percentile"].items():
        values = report["test_accuracy"][label]
        interval = f"{100 * place['low']:.0f} to {100 * place['high']:.0f}"
        accuracy = f"{100 * sum(values) / len(values):.2f} % test accuracy"
        rows.append(
            (
                label,
                f"{accuracy}, above {100 * place['value']:.0f} % of the random ones (95 %: {interval})",
            )
        )
    return rows


def _collapse_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for label, searches in report["collapse"].items():
        shares = [search["skip_share"] for search in searches if search["skip_share"] is not None]
        if shares:
            mean, random = sum(shares) / len(shares), report["random_skip_share"]
            says = f"{100 * mean:.0f} % of the choices that can be one; of random cells {100 * random:.0f} %"
            rows.append((f"{label}, skip connections", says))
        alarms = [
            (seed, text)
            for seed, search in enumerate(searches)
            for text in search["alarms"].values()
        ]
        rows += [(f"{label}, seed {seed}: alarm", text) for seed, text in alarms]
    return rows


@dataclass(frozen=True)
class TableOptions:
    """What to compare on a table.

    Args:
        metric: the column that is searched for.
        report: the metric that is reported for the best by --metric; the metric itself by default.
        minimize: less of the metric is better.
        queries: how many different architectures each method may ask for.
        seeds: how many runs of each method.
        method: a method to compare, all by default; can be repeated.
        choice: a column that is a choice, where its values don't say so; can be repeated.
        out: the directory for table.json and table.png.
    """

    metric: str = ""
    report: str | None = None
    minimize: bool = False
    queries: int = 200
    seeds: int = 10
    method: str | None = None
    choice: str | None = None
    out: str | None = None


def _table(command: str, words: list[str]) -> None:
    from unas.lab.tabular import lab_table

    file, words = take_name(words, "FILE", f"unas {command} nas-bench-macro.json --metric mean_acc")
    methods, words = take_flag(words, "--method")
    choices, words = take_flag(words, "--choice")
    about = "Compare black-box searches on a table of architectures: a CSV, or the JSON of NAS-Bench-Macro."
    options: TableOptions = parse(
        TableOptions(), words, f"unas {command} FILE", about, ("minimize",)
    )
    if not options.metric:
        raise UserError("--metric is missing; give the column that is searched for")
    out = Path(options.out) if options.out else new_directory(f"table-{Path(file).stem}")
    result = lab_table(
        Path(file),
        options.metric,
        report=options.report,
        minimize=options.minimize,
        queries=options.queries,
        seeds=options.seeds,
        methods=methods,
        choices=choices,
        out=out,
    )
    rows = [(name, _table_figure(method)) for name, method in result["methods"].items()]
    print_rows([*rows, ("plot", result["plot"] or result["plot_missing"]), ("directory", str(out))])


def _table_figure(method: dict[str, Any]) -> str:
    best, rank = method["report"], method["rank_percent"]
    return (
        f"best {best['mean'][-1]:.4f} ± {best['standard_error'][-1]:.4f}, "
        f"rank {rank['mean'][-1]:.3f} ± {rank['standard_error'][-1]:.3f} %"
    )


EXPERIMENTS = {"quality": _quality, "table": _table, "estimators": _estimators}
