"""Median time of a forward of one image, or of a batch, clocked by a backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from unas.budgets.quantities.base import WEIGHT, MeasuredQuantity

if TYPE_CHECKING:
    from unas.budgets.budget import Budget
    from unas.budgets.effort import Effort
    from unas.budgets.onnx_file import OnnxFile
    from unas.costs.gauges import Gauge
    from unas.costs.reading import Reading
    from unas.latency.backends import Backend
    from unas.objectives import CostTerm
    from unas.spaces import Blueprint


class LatencyQuantity(MeasuredQuantity):
    """Milliseconds of a forward of an image or a batch, the median, clocked by a backend."""

    name: ClassVar[str] = "latency"
    label: ClassVar[str] = "latency"
    example: ClassVar[str] = "8ms@onnxruntime"
    units: ClassVar[Mapping[str, float]] = {"ms": 1.0, "us": 1e-3, "µs": 1e-3, "s": 1e3}
    default_backend: ClassVar[str | None] = "onnxruntime"  # a run ends in an ONNX file
    has_batches: ClassVar[bool] = True

    def gauge(self, budget: Budget, blueprint: Blueprint, device: str, effort: Effort) -> Gauge:
        """See `Quantity`."""
        from unas.latency.gauges import Stopwatch

        backend = _backend(budget)
        return Stopwatch(
            blueprint,
            backend,
            device,
            budget.batch,
            samples=effort.samples,
            max_seconds=effort.max_seconds,
        )

    def of_file(self, budget: Budget, file: OnnxFile, device: str, effort: Effort) -> Reading:
        """See `Quantity`."""
        from unas.latency import Latency, measure_file
        from unas.latency.gauges import quietest

        def measured() -> Latency:
            return measure_file(
                file.path,
                (budget.batch, *file.image_shape),
                _backend(budget),
                device,
                threads=effort.threads,
                samples=effort.samples,
                max_seconds=effort.max_seconds,
            )

        return quietest(measured).reading()

    def term(self, budget: Budget) -> CostTerm:
        """See `Quantity`."""
        from unas.objectives.latency import LatencyTerm

        return LatencyTerm(
            weight=WEIGHT / budget.limit,  # of a millisecond
            target_ms=self.aim * budget.limit,
            backend=_backend(budget),
            batch=budget.batch,
        )


def _backend(budget: Budget) -> Backend:
    assert budget.backend is not None  # noqa: S101  every budget on a latency has one
    return budget.backend
