"""`unas lab quality`: what a search finds against random architectures of its space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from unas.cli.commands import Command
from unas.cli.configuring import configured
from unas.cli.options import QualityOptions
from unas.cli.output import print_rows
from unas.cli.words import take
from unas.common.text import readable_time
from unas.lab.quality import quality as measure_quality
from unas.pipeline.opening import new_directory


def quality(command: Command, words: Sequence[str]) -> None:
    """Do `unas lab quality` with the words that follow it.

    Raises:
        UserError: a word is wrong, or the runs can't be done.
    """
    options, words = take(QualityOptions(), words)
    name, config = configured(command, words, options)
    out = Path(options.out) if options.out else new_directory(f"quality-{name}".replace(":", "-"))
    report = measure_quality(
        config,
        out,
        options.cells,
        options.seeds,
        options.against,
        trainings=options.trainings,
        quiet=options.quiet,
    )
    plot = ("plot", report["plot"] or report["plot_missing"])
    rows = [*_accuracies(report), *_bought(report["bought"]), *_collapse(report)]
    print_rows([*rows, plot, ("directory", str(out))])


def _accuracies(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield how good random architectures are, and where among them the searches' are."""
    median = f"{100 * report['random_median']:.2f} % test accuracy"
    yield "random, median", f"{median} of {report['cells']} cells"
    for label, place in report["percentile"].items():
        values = report["test_accuracy"][label]
        accuracy = f"{100 * sum(values) / len(values):.2f} % test accuracy"
        interval = f"95 %: {100 * place['low']:.0f} to {100 * place['high']:.0f}"
        share = f"above {100 * place['value']:.0f} % of the random ones ({interval})"
        yield label, f"{accuracy}, {share}"
        if len(values) > 1:
            each = ", ".join(f"{100 * part:.0f}" for part in report["percentile_of_each"][label])
            yield f"{label}, each search", f"above {each} % of the random ones"


def _bought(bought: dict[str, float] | None) -> Iterator[tuple[str, str]]:
    """Yield how good the best of as many random cells is as the search's time would train."""
    if bought is None:
        return
    times = (
        f"a search took {readable_time(bought['search_seconds'])}, "
        f"a training {readable_time(bought['training_seconds'])}"
    )
    accuracy = "more than were trained"
    if "test_accuracy" in bought:
        accuracy = f"{100 * bought['test_accuracy']:.2f} % test accuracy"
    yield f"best of {bought['cells']:.0f} random", f"{accuracy}; {times}"


def _collapse(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the signs that a search has collapsed to skip connections."""
    for label, searches in report["collapse"].items():
        shares = [search["skip_share"] for search in searches if search["skip_share"] is not None]
        if shares:
            share = f"{100 * sum(shares) / len(shares):.0f} % of the choices that can be one"
            random = f"of random cells {100 * report['random_skip_share']:.0f} %"
            yield f"{label}, skip connections", f"{share}; {random}"
        for seed, search in enumerate(searches, report["first_seed"]):
            for alarm in search["alarms"].values():
                yield f"{label}, seed {seed}: alarm", alarm
