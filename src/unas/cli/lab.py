"""`unas lab`: experiments about the search itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from unas import pipeline
from unas.cli.output import print_rows
from unas.cli.run import configured
from unas.cli.words import take_flag, take_name
from unas.errors import UserError
from unas.registry import one_of


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

    cells, words = _count("--cells", 20, words)
    seeds, words = _count("--seeds", 1, words)
    against, words = take_flag(words, "--against")
    name, options = configured(command, words)
    out = Path(options.out) if options.out else pipeline.new_directory(f"quality-{name}".replace(":", "-"))
    report = quality(options.config, out, cells, seeds, against, quiet=options.quiet)
    print_rows([*_quality_rows(report), ("directory", str(out))])


def _quality_rows(report: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [("random, median", f"{100 * report['random_median']:.2f} % test accuracy of {report['cells']} cells")]
    for label, place in report["percentile"].items():
        values = report["test_accuracy"][label]
        interval = f"{100 * place['low']:.0f} to {100 * place['high']:.0f}"
        accuracy = f"{100 * sum(values) / len(values):.2f} % test accuracy"
        rows.append((label, f"{accuracy}, above {100 * place['value']:.0f} % of the random ones (95 %: {interval})"))
    return rows


def _count(flag: str, default: int, words: list[str]) -> tuple[int, list[str]]:
    values, words = take_flag(words, flag)
    text = values[-1] if values else str(default)
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{flag} is {text!r}; it must be a whole number of 1 or more")
    return int(text), words


EXPERIMENTS = {"quality": _quality}
