"""The verdicts on what a run delivers: the exported file, counted and measured again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from unas.budgets import Budget, Verdict, judge
from unas.contract import SAMPLES, backend_of
from unas.deployment import Deployment
from unas.gauges import EnergyMeter, Reading, Stopwatch, quietest
from unas.latency import measure_file
from unas.latency.backends import Backend
from unas.objectives import Term
from unas.verdicts import judge_file

FILES = ("onnxruntime", "command")  # the backends that run a file
MORE_SAMPLES = 4  # times as many, where an interval holds the limit
SECONDS = 60.0  # for all of them at the most


def judge_delivery(
    path: Path, network: nn.Module, budgets: Sequence[Budget], objectives: Mapping[str, Term], deployment: Deployment
) -> list[Verdict]:
    """Return whether an exported network meets its budgets, for one image.

    Args:
        path: the ONNX file.
        network: the same network, for a latency or an energy that is PyTorch's.
        budgets: what it may cost.
        objectives: of the search; see `unas.contract.backend_of`.
        deployment: the images, and where PyTorch runs.

    Raises:
        UserError: something can't be measured here.
    """

    def verdict(budget: Budget) -> Verdict:
        backend = backend_of(budget, objectives)
        if backend is not None:
            return _latency(budget, path, network, backend, deployment)
        if budget.quantity == "energy" and deployment.device != "cpu":
            return _judged(budget, EnergyMeter(deployment, 0.3).of(network))
        return judge_file(path, [budget], image_shape=deployment.image_shape)[0]

    return [verdict(budget) for budget in budgets]


def _latency(budget: Budget, path: Path, network: nn.Module, backend: Backend, deployment: Deployment) -> Verdict:
    """Return the verdict on a latency; what a first measurement leaves open, a longer one decides."""

    def measured(samples: int) -> Verdict:
        if budget.backend not in FILES:
            return _judged(budget, Stopwatch(deployment, backend, samples).of(network))
        shape = deployment.image_shape
        found = quietest(lambda: measure_file(path, shape, backend, samples=samples, max_seconds=SECONDS))
        note = "noisy, measure again on a quiet machine" if found.is_noisy else ""
        return judge(budget, found.median_ms, found.low_ms, found.high_ms, note)

    first = measured(SAMPLES)
    return measured(MORE_SAMPLES * SAMPLES) if first.low <= budget.limit < first.high else first


def _judged(budget: Budget, reading: Reading) -> Verdict:
    return judge(budget, reading.value, reading.low, reading.high, reading.note)
