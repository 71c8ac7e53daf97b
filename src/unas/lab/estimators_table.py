"""The figures of `unas lab estimators` as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = (
    "problem", "estimator", "unbiased", "bias max (s.e.)", "bias RMS (s.e.)", "variance",
    "÷ reinforce (95 %)", "µs a call",
)  # fmt: skip
NOTES = """
**Bias**: mean estimate less the exact gradient, in standard errors of that mean; the largest and
the root mean square over logits. An unbiased estimator has a root mean square near 1 and a largest
value that rarely exceeds 4; that of a biased one grows with the root of the number of samples.
Below some ten thousand samples options that are hardly ever drawn are missing from the standard
error, and an unbiased estimator can look biased.

**Variance**: trace of the covariance of an estimate from {group} architectures, times {group}. **÷
reinforce**: that variance over `reinforce`'s on the same problem; below 1 is better. The baseline
of `reinforce` averages calls of {group} architectures, so its noise adds next to nothing here; with
one architecture a call it would add more. The interval takes the noise of two estimators as
independent; where they draw the same, it is too wide rather than too narrow. What an estimator
still learns in its first calls counts in full. `reinforce_loo_N` asks for N costs where the others
ask for one or two, so its variance has to be N times as low to be as good.

**µs a call**: processor time, median of {timed} forward and backward passes with {group}
architectures; these costs are nearly free, so it is mostly the estimator's own.

![Bias and variance of every estimator on every problem](estimators.png)

In the picture hollow markers are estimators that are biased by construction. A line goes up to the
largest logit above, and over the 95 % interval below. What to look for: every filled marker near
the line at 1 and no line of one in the hatched band; then, below, how far under 1 it is, and on
which problems it isn't.
"""


def markdown(result: Mapping[str, Any]) -> str:
    """Return head, notes and table of what `lab_estimators` has measured."""
    versions = result["versions"]
    group = result["architectures_per_call"]
    calls = result["calls"]
    head = (
        "# Gradient estimators against the exact gradient\n\n"
        f"{result['hardware']}; Python {versions['python']}, PyTorch {versions['torch']}; "
        f"n = {calls} calls × {group} architectures a row, seed {result['seed']}.\n\n"
        f"Command: `{result['command']}`\n"
        f"{NOTES.format(group=group, timed=result['timed_calls'])}"
    )
    lines = [head, _line(COLUMNS), _line(("---", "---", "---", *["---:"] * 5))]
    lines += [_line(_cells(row)) for row in result["rows"]]
    return "\n".join(lines) + "\n"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["problem"],
        row["estimator"],
        "yes" if row["is_unbiased"] else "no",
        f"{row['bias_max']:.1f}",
        f"{row['bias_rms']:.1f}",
        f"{row['variance']:.4g}",
        f"{row['ratio']:.3g} ({row['ratio_low']:.3g} to {row['ratio_high']:.3g})",
        f"{row['microseconds']:.0f}",
    )


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"
