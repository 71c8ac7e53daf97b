"""Print the bias, variance and time of every gradient estimator on problems whose gradient is known.

Example: python benchmarks/estimators.py --samples 65536 --seed 0 --markdown docs/estimators.md
"""

from __future__ import annotations

import argparse
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from unas import estimators
from unas.estimators import Estimator
from unas.estimators.rebar import Rebar
from unas.lab.gradients import gradient, measure
from unas.lab.problems import PROBLEMS, Problem

GROUP = 64  # architectures a call, as a batch of one architecture an image has
TIMED_CALLS = 50
COLUMNS = (
    "problem", "estimator", "unbiased", "bias max (s.e.)", "bias RMS (s.e.)", "variance", "÷ reinforce", "µs a call",
)  # fmt: skip
NOTES = """
Bias: mean estimate less the exact gradient, in standard errors of that mean; the largest and the root mean square over
logits. An unbiased estimator has a root mean square near 1 and a largest value that rarely exceeds 4; that of a biased
one grows with the number of samples. Variance: trace of the covariance of an estimate from {group} architectures,
times {group}. `÷ reinforce`: that variance over `reinforce`'s on the same problem. The baseline of `reinforce` averages
calls of {group} architectures, so its noise adds next to nothing here; with one architecture a call it would add more.
Time: median of {timed} forward and backward passes with {group} architectures; these costs are nearly free, so it is
mostly the estimator's own.
"""


def cases() -> dict[str, Estimator]:
    """Return every estimator but the oracle with its defaults, and rebar with noise of its own."""
    found = {name: estimators.get(name)() for name in estimators.names() if name != "exact"}
    return found | {"rebar (independent)": Rebar(is_coupled=False)}


def microseconds(estimator: Estimator, problem: Problem) -> float:
    policy, times = problem.policy(), []
    for _ in range(TIMED_CALLS):
        start = time.perf_counter()
        gradient(estimator, problem, policy, num_samples=GROUP)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def rows(problem: Problem, samples: int, seed: int) -> Iterator[tuple[str, ...]]:
    found = {
        name: measure(estimator, problem, num_estimates=samples // GROUP, num_samples=GROUP, seed=seed)
        for name, estimator in cases().items()
    }
    for name, estimator in cases().items():
        bias = found[name].bias_in_standard_errors
        yield (
            problem.name,
            name,
            "yes" if estimator.is_unbiased else "no",
            f"{bias.abs().max():.1f}",
            f"{bias.square().mean().sqrt():.1f}",
            f"{found[name].variance:.4g}",
            f"{found[name].variance / found['reinforce'].variance:.2f}",
            f"{microseconds(estimator, problem):.0f}",
        )


def processor() -> str:
    """Return the processor's name."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=65536, help="architectures for each row (default: 65536)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: 0)")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    if arguments.samples < 2 * GROUP:
        parser.error(f"--samples is {arguments.samples}; it must be {2 * GROUP} or more: two calls of {GROUP}")
    torch.set_num_threads(1)  # the tensors are tiny
    calls = arguments.samples // GROUP
    head = (
        "# Gradient estimators against the exact gradient\n\n"
        f"{processor()}, 1 thread; Python {platform.python_version()}, PyTorch {torch.__version__}; "
        f"n = {calls} calls × {GROUP} architectures a row, seed {arguments.seed}.\n\n"
        f"Command: `python {shlex.join(['benchmarks/estimators.py', *sys.argv[1:]])}`\n"
        f"{NOTES.format(group=GROUP, timed=TIMED_CALLS)}"
    )
    lines = [head, line(COLUMNS), line(("---", "---", "---", *["---:"] * 5))]
    print("\n".join(lines), flush=True)
    for problem in PROBLEMS:
        for row in rows(problem, arguments.samples, arguments.seed):
            lines.append(line(row))
            print(lines[-1], flush=True)
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
