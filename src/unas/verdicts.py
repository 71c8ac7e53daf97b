"""Budgets held against an ONNX file: counted from its graph, or measured on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unas.budgets import Budget, Verdict, judge
from unas.latency import backends, measure_file
from unas.latency.energy import measure_energy
from unas.latency.energy_counters import POWERCAP
from unas.onnx_counting import OnnxSize, count_onnx


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
            backend = backends.create(budget.backend or "", command, timeout_seconds)
            found = measure_file(path, size.image_shape, backend, device, threads=threads, samples=samples)
            note = "noisy, measure again on a quiet machine" if found.is_noisy else ""
            return judge(budget, found.median_ms, found.low_ms, found.high_ms, note)
        if budget.quantity == "energy":
            energy = measure_energy(path, size.image_shape, "onnxruntime", device, threads=threads, root=root)
            return judge(budget, energy.median_mj, energy.low_mj, energy.high_mj, energy.counter)
        return judge(budget, _counted(size, budget.quantity))

    return tuple(verdict(budget) for budget in budgets)


def _counted(size: OnnxSize, quantity: str) -> float:
    return {"macs": size.macs, "params": size.parameters, "memory": size.memory}[quantity]
