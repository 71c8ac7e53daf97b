"""`unas lab estimators`: every gradient estimator on every problem whose gradient is known."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from unas import estimators as available
from unas.common.documents import write_json
from unas.common.errors import UserError
from unas.common.files import make_directory, write_text
from unas.common.registry import one_of
from unas.compute.hardware import cpu_name
from unas.compute.threads import torch_threads
from unas.estimators import Estimator
from unas.estimators.rebar import Rebar
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.lab._figure import plotted
from unas.lab.estimators_plot import write_plot
from unas.lab.estimators_table import markdown
from unas.lab.gradients import GradientErrors, measure, median_microseconds, variance_ratio
from unas.lab.problems import PROBLEMS, Problem
from unas.runs.progress import Progress

SAMPLES = 65536  # architectures a row; with all rows about a minute and a half on one core
GROUP = 64  # architectures a call, as a batch of one architecture an image has
TIMED_CALLS = 50
REFERENCE = "reinforce"
VARIANTS: Mapping[str, Estimator] = {
    "rebar_independent": Rebar(is_coupled=False),
    "rebar_loo_eta": Rebar(leave_one_out=True, learn_eta=True),
    **{f"reinforce_loo_{draws}": ReinforceLeaveOneOut(draws=draws) for draws in (2, 4, 8)},
}


@dataclass(frozen=True)
class Row:
    """How one estimator did on one problem.

    Args:
        problem: the problem's name.
        estimator: the estimator's name.
        is_unbiased: whether the estimator says that it is.
        bias_max: largest bias of a logit, in standard errors.
        bias_rms: root mean square over logits of the bias, in standard errors.
        logits: how many logits the problem's policy has.
        variance: of one architecture's estimate, summed over logits.
        ratio: that variance over `reinforce`'s.
        ratio_low: lower end of the ratio's 95 % interval.
        ratio_high: upper end of the ratio's 95 % interval.
        microseconds: processor time of one call with `GROUP` architectures, median.
    """

    problem: str
    estimator: str
    is_unbiased: bool
    bias_max: float
    bias_rms: float
    logits: int
    variance: float
    ratio: float
    ratio_low: float
    ratio_high: float
    microseconds: float


def lab_estimators(
    problems: Sequence[str] = (),
    estimators: Sequence[str] = (),
    *,
    samples: int = SAMPLES,
    seed: int = 0,
    out: Path = Path("lab"),
    quiet: bool = False,
) -> dict[str, Any]:
    """Measure bias, variance and time of estimators; write estimators.json and estimators.md.

    With matplotlib, there is estimators.png too.

    Args:
        problems: names; all by default.
        estimators: names, also of `VARIANTS` and package.module:Class; all but `exact` by default.
            `reinforce`, which the others' variances are divided by, is always among them.
        samples: architectures a row, in calls of `GROUP`.
        seed: of the noise.
        out: the directory to write to; it is made.
        quiet: show no progress.

    Returns:
        what estimators.json holds, with `plot`, the picture's path, or None, and then
        `plot_missing` says why.

    Raises:
        UserError: a name or a number is wrong, or `out` can't be written.
    """
    if samples < 2 * GROUP:
        raise UserError(
            f"samples is {samples}; it must be {2 * GROUP} or more: two calls of {GROUP}"
        )
    chosen = list(dict.fromkeys(map(_problem, problems))) or list(PROBLEMS)
    cases = named_estimators(estimators)
    make_directory(out)
    rows: list[dict[str, Any]] = []
    with (
        torch_threads(1),
        Progress("estimators", len(chosen) * len(cases), out, quiet=quiet) as progress,
    ):
        for problem in chosen:
            for row in _rows(problem, cases, samples // GROUP, seed):
                rows.append(asdict(row))
                progress.update(len(rows))
    command = _command(problems, estimators, samples, seed)
    result = {"command": command, **_circumstances(cases, samples, seed), "rows": rows}
    write_json(out / "estimators.json", result)
    write_text(out / "estimators.md", markdown(result))
    return result | plotted(lambda path: write_plot(result, path), out / "estimators.png")


def _command(problems: Sequence[str], estimators: Sequence[str], samples: int, seed: int) -> str:
    words = ["unas", "lab", "estimators"]
    words += [f"--problem={name}" for name in problems]
    words += [f"--estimator={name}" for name in estimators]
    words += ["--samples", str(samples), "--seed", str(seed)]
    return shlex.join(words)


def _circumstances(cases: Mapping[str, Estimator], samples: int, seed: int) -> dict[str, Any]:
    return {
        "hardware": f"{cpu_name()}, 1 thread",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "calls": samples // GROUP,
        "architectures_per_call": GROUP,
        "timed_calls": min(TIMED_CALLS, samples // GROUP),
        "seed": seed,
        "options": {name: asdict(case) for name, case in cases.items()},
    }


def _problem(name: str) -> Problem:
    by_name = {_plain(problem.name): problem for problem in PROBLEMS}
    if _plain(name) not in by_name:
        names = tuple(problem.name for problem in PROBLEMS)
        raise UserError(f"problem {name!r} does not exist; {one_of(name, names)}")
    return by_name[_plain(name)]


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ")


def named_estimators(names: Sequence[str]) -> dict[str, Estimator]:
    """Return the estimators by name, `reinforce` first."""
    everything = [name for name in available.names() if name != "exact"] + list(VARIANTS)
    cases: dict[str, Estimator] = {}
    for name in (REFERENCE, *(names or everything)):
        if name in VARIANTS:
            cases[name] = VARIANTS[name]
            continue
        component = available.get(name)
        cases[available.registry.name_of(component)] = component()
    if "exact" in cases:
        raise UserError("estimator exact is what the others are compared with; leave it out")
    return cases


def _rows(problem: Problem, cases: Mapping[str, Estimator], calls: int, seed: int) -> Iterator[Row]:
    reference: GradientErrors | None = None  # the first estimator's
    timed = min(TIMED_CALLS, calls)
    for name, case in cases.items():
        errors = measure(case, problem, num_estimates=calls, num_samples=GROUP, seed=seed)
        if reference is None:
            reference = errors
        bias = errors.bias_in_standard_errors
        ratio, low, high = variance_ratio(errors, reference)
        yield Row(
            problem.name,
            name,
            case.is_unbiased,
            bias_max=float(bias.abs().max()),
            bias_rms=float(bias.square().mean().sqrt()),
            logits=len(bias),
            variance=errors.variance,
            ratio=ratio,
            ratio_low=low,
            ratio_high=high,
            microseconds=median_microseconds(case, problem, num_samples=GROUP, calls=timed),
        )
