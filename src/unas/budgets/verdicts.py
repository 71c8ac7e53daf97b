"""Budgets held against what was delivered: an ONNX file, and the network it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from unas.budgets.budget import Budget, Verdict, created, judge
from unas.budgets.contract import SAMPLES, backend_of
from unas.costs.reading import Reading
from unas.graphs.onnx_size import OnnxSize, count_onnx
from unas.latency import measure_file
from unas.latency.backends import Backend
from unas.latency.energy import measure_energy
from unas.latency.energy_counters import POWERCAP
from unas.latency.gauges import EnergyMeter, Stopwatch, quietest
from unas.objectives import Term
from unas.spaces import Blueprint


def judge_file(
    path: Path,
    budgets: Sequence[Budget],
    *,
    image_shape: tuple[int, int, int] | None = None,
    device: str = "cpu",
    threads: int | None = None,
    samples: int = 100,
    command: str | None = None,
    timeout_seconds: float = 60.0,
    root: Path = POWERCAP,
) -> tuple[Verdict, ...]:
    """Return for each budget whether an ONNX file meets it, for one image.

    Args:
        path: the file.
        budgets: what it may cost.
        image_shape: (C, H, W), where the file leaves it open.
        device: where latency and energy are measured.
        threads: CPU threads; None for as many as PyTorch has.
        samples: how many runs a latency is taken from.
        command: the command line of the backend `command`.
        timeout_seconds: how long one call of the command may take.
        root: where the kernel shows its power zones.

    Raises:
        UserError: the file can't be read or run, or something can't be measured here.
    """
    size = count_onnx(path, image_shape)

    def verdict(budget: Budget) -> Verdict:
        if budget.quantity == "latency":
            backend = created(budget.backend or "", command, timeout_seconds)
            found = measure_file(
                path, size.image_shape, backend, device, threads=threads, samples=samples
            )
            return _judged(budget, found.reading())
        if budget.quantity == "energy":
            energy = measure_energy(
                path, size.image_shape, "onnxruntime", device, threads=threads, root=root
            )
            return _judged(budget, energy.reading())
        return judge(budget, _counted(size, budget.quantity))

    return tuple(verdict(budget) for budget in budgets)


def _counted(size: OnnxSize, quantity: str) -> float:
    return {"macs": size.macs, "params": size.parameters, "memory": size.memory}[quantity]


MORE_SAMPLES = 4  # times as many, where an interval holds the limit
SECONDS = 60.0  # for all of them at the most


def judge_delivery(
    path: Path,
    network: nn.Module,
    budgets: Sequence[Budget],
    objectives: Mapping[str, Term],
    *,
    blueprint: Blueprint,
    device: str,
) -> list[Verdict]:
    """Return whether an exported network meets its budgets, for one image.

    Args:
        path: the ONNX file.
        network: the same network, for a latency or an energy that is PyTorch's.
        budgets: what it may cost.
        objectives: of the search; see `unas.budgets.contract.backend_of`.
        blueprint: how the network was built.
        device: where PyTorch runs.

    Raises:
        UserError: something can't be measured here.
    """

    def verdict(budget: Budget) -> Verdict:
        backend = backend_of(budget, objectives)
        if backend is not None:
            return _latency(budget, path, network, backend, blueprint=blueprint, device=device)
        if budget.quantity == "energy" and device != "cpu":
            return _judged(budget, EnergyMeter(blueprint, device, window_seconds=0.3).of(network))
        return judge_file(path, [budget], image_shape=blueprint.image_shape)[0]

    return [verdict(budget) for budget in budgets]


def _latency(
    budget: Budget,
    path: Path,
    network: nn.Module,
    backend: Backend,
    *,
    blueprint: Blueprint,
    device: str,
) -> Verdict:
    """Return the verdict on a latency; what a first measurement leaves open, a longer one decides."""

    def measured(samples: int) -> Verdict:
        if not backend.runs_files:
            return _judged(budget, Stopwatch(blueprint, backend, device, samples).of(network))
        shape = blueprint.image_shape
        found = quietest(
            lambda: measure_file(path, shape, backend, samples=samples, max_seconds=SECONDS)
        )
        return _judged(budget, found.reading())

    first = measured(SAMPLES)
    return measured(MORE_SAMPLES * SAMPLES) if first.low <= budget.limit < first.high else first


def _judged(budget: Budget, reading: Reading) -> Verdict:
    return judge(budget, reading.value, reading.low, reading.high, reading.note)
