"""`unas lab estimators`: gradient estimators on problems with a known gradient, or on a trained supernet."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unas.cli.flags import parse
from unas.cli.output import print_rows
from unas.cli.run import configured
from unas.cli.words import take_count, take_flag
from unas.lab.estimators import SAMPLES, lab_estimators
from unas.lab.supernet_report import CALLS, lab_supernet
from unas.pipeline.opening import new_directory


@dataclass(frozen=True)
class EstimatorsOptions:
    """What to measure.

    Args:
        problem: a problem, all by default; can be repeated.
        estimator: an estimator beside reinforce, all by default; can be repeated.
        samples: architectures drawn for each estimator on each problem.
        seed: of the noise.
        out: the directory for estimators.json, estimators.md and estimators.png.
        quiet: show no progress.
    """

    problem: str | None = None
    estimator: str | None = None
    samples: int = SAMPLES
    seed: int = 0
    out: str | None = None
    quiet: bool = False


def estimators(command: str, words: list[str]) -> None:
    """Do `unas lab estimators` with the words that follow it.

    Raises:
        UserError: a word is wrong.
    """
    if words and not words[0].startswith("-"):
        _on_supernet(command, words)
        return
    problems, words = take_flag(words, "--problem")
    names, words = take_flag(words, "--estimator")
    about = "Measure bias, variance and time of gradient estimators on problems whose gradient is known."
    options: EstimatorsOptions = parse(
        EstimatorsOptions(), words, f"unas {command}", about, ("quiet",)
    )
    out = Path(options.out) if options.out else new_directory("estimators")
    result = lab_estimators(
        problems, names, samples=options.samples, seed=options.seed, out=out, quiet=options.quiet
    )
    ends = [
        ("table", str(out / "estimators.md")),
        ("plot", result["plot"] or result["plot_missing"]),
    ]
    print_rows([*_summary(result["rows"]), *ends, ("directory", str(out))])


def _on_supernet(command: str, words: list[str]) -> None:
    typed = shlex.join(["unas", *command.split(), *words])
    names, words = take_flag(words, "--estimator")
    calls, words = take_count("--calls", CALLS, words)
    recipe, options = configured(command, words)
    out = (
        Path(options.out)
        if options.out
        else new_directory(f"estimators-{recipe}".replace(":", "-"))
    )
    result = lab_supernet(
        options.config, names, calls=calls, out=out, command=typed, quiet=options.quiet
    )
    ends = [
        ("table", str(out / "estimators.md")),
        ("plot", result["plot"] or result["plot_missing"]),
    ]
    print_rows([*map(_supernet_figure, result["rows"]), *ends, ("directory", str(out))])


def _supernet_figure(row: Mapping[str, Any]) -> tuple[str, str]:
    interval = f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}"
    return (
        row["estimator"] if row["is_unbiased"] else f"{row['estimator']}, biased",
        f"variance {row['ratio']:.2f} × the first's (95 %: {interval}); step {row['step_ms']:.0f} ms, "
        f"{row['step_ratio']:.2f} ×; variance at equal time {row['at_equal_time']:.2f} ×",
    )


def _summary(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield a line an estimator, over all problems, and one about those that say they are unbiased."""
    for name in dict.fromkeys(row["estimator"] for row in rows):
        own = [row for row in rows if row["estimator"] == name]
        ratios = [row["ratio"] for row in own]
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios)) if all(ratios) else 0.0
        yield (
            name if own[0]["is_unbiased"] else f"{name}, biased",
            f"{max(row['bias_max'] for row in own):.1f} standard errors off at most; variance {min(ratios):.2g} to "
            f"{max(ratios):.3g} × reinforce's, geometric mean {mean:.2g}; "
            f"{sum(row['microseconds'] for row in own) / len(own):.0f} µs a call",
        )
    unbiased = [row for row in rows if row["is_unbiased"]]
    worst = max(unbiased, key=lambda row: float(row["bias_max"]))
    logits = sum(row["logits"] for row in unbiased)
    yield (
        "unbiased ones",
        f"at most {worst['bias_max']:.1f} standard errors off, of {logits} logits "
        f"({worst['estimator']} on {worst['problem']})",
    )
