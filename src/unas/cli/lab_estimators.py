"""`unas lab estimators`: gradients whose truth is known, or those on a trained supernet."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from unas.cli.commands import Command
from unas.cli.configuring import configured
from unas.cli.options import EstimatorsOptions, SupernetOptions
from unas.cli.output import print_rows
from unas.cli.words import require_no_more, take
from unas.lab.estimators import lab_estimators
from unas.lab.supernet_report import lab_supernet
from unas.pipeline.opening import new_directory


def estimators(command: Command, words: Sequence[str]) -> None:
    """Do `unas lab estimators` with the words that follow it.

    Raises:
        UserError: a word is wrong.
    """
    if words and not words[0].startswith("-"):
        _on_supernet(command, words)
    else:
        _on_problems(command, words)


def _on_problems(command: Command, words: Sequence[str]) -> None:
    options, words = take(EstimatorsOptions(), words)
    require_no_more(command, words, options)
    out = Path(options.out) if options.out else new_directory("estimators")
    result = lab_estimators(
        options.problem,
        options.estimator,
        samples=options.samples,
        seed=options.seed,
        out=out,
        quiet=options.quiet,
    )
    print_rows([*_summary(result["rows"]), *_files(result, out)])


def _on_supernet(command: Command, words: Sequence[str]) -> None:
    line = shlex.join(["unas", *command.name.split(), *words])
    options, words = take(SupernetOptions(), words)
    name, config = configured(command, words, options)
    default = f"estimators-{name}".replace(":", "-")
    out = Path(options.out) if options.out else new_directory(default)
    result = lab_supernet(
        config, options.estimator, calls=options.calls, out=out, command=line, quiet=options.quiet
    )
    print_rows([*map(_supernet_figure, result["rows"]), *_files(result, out)])


def _files(result: Mapping[str, Any], out: Path) -> list[tuple[str, str]]:
    return [
        ("table", str(out / "estimators.md")),
        ("plot", result["plot"] or result["plot_missing"]),
        ("directory", str(out)),
    ]


def _supernet_figure(row: Mapping[str, Any]) -> tuple[str, str]:
    interval = f"95 %: {row['ratio_low']:.2f} to {row['ratio_high']:.2f}"
    text = (
        f"variance {row['ratio']:.2f} × the first's ({interval}); "
        f"step {row['step_ms']:.0f} ms, {row['step_ratio']:.2f} ×; "
        f"variance at equal time {row['at_equal_time']:.2f} ×"
    )
    return _label(row), text


def _summary(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield a line for each estimator, and one about all that say they are unbiased."""
    by_estimator: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_estimator.setdefault(row["estimator"], []).append(row)
    for of_estimator in by_estimator.values():
        yield _label(of_estimator[0]), _over_problems(of_estimator)
    unbiased = [row for row in rows if row["is_unbiased"]]
    worst = max(unbiased, key=lambda row: float(row["bias_max"]))
    logits = sum(row["logits"] for row in unbiased)
    where = f"{worst['estimator']} on {worst['problem']}"
    yield (
        "unbiased ones",
        f"at most {worst['bias_max']:.1f} standard errors off, of {logits} logits ({where})",
    )


def _over_problems(rows: Sequence[Mapping[str, Any]]) -> str:
    bias = max(row["bias_max"] for row in rows)
    ratios = [row["ratio"] for row in rows]
    mean = 0.0
    if all(ratios):
        mean = math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))
    microseconds = sum(row["microseconds"] for row in rows) / len(rows)
    return (
        f"{bias:.1f} standard errors off at most; variance {min(ratios):.2g} to "
        f"{max(ratios):.3g} × reinforce's, geometric mean {mean:.2g}; {microseconds:.0f} µs a call"
    )


def _label(row: Mapping[str, Any]) -> str:
    return row["estimator"] if row["is_unbiased"] else f"{row['estimator']}, biased"
