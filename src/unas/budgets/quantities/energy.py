"""Energy of a forward of one image, of the whole processor."""

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
    from unas.objectives import CostTerm
    from unas.spaces import Blueprint

WINDOW_SECONDS = 0.3


class EnergyQuantity(MeasuredQuantity):
    """Millijoules of a forward of one image, of the whole processor, its idle power included."""

    name: ClassVar[str] = "energy"
    label: ClassVar[str] = "energy"
    example: ClassVar[str] = "50mJ"
    units: ClassVar[Mapping[str, float]] = {"mJ": 1.0, "uJ": 1e-3, "µJ": 1e-3, "J": 1e3}

    def gauge(
        self,
        budget: Budget,  # noqa: ARG002  the device decides what counts
        blueprint: Blueprint,
        device: str,
        effort: Effort,
    ) -> Gauge:
        """See `Quantity`."""
        from unas.latency.gauges import EnergyMeter

        return EnergyMeter(blueprint, device, effort.windows, WINDOW_SECONDS)

    def of_file(
        self,
        budget: Budget,  # noqa: ARG002  the device decides what counts
        file: OnnxFile,
        device: str,
        effort: Effort,
    ) -> Reading:
        """See `Quantity`."""
        from unas.latency.energy import measure_energy

        energy = measure_energy(
            file.path,
            file.image_shape,
            "onnxruntime",
            device,
            threads=effort.threads,
            windows=effort.windows,
            window_seconds=WINDOW_SECONDS,
        )
        return energy.reading()

    def term(self, budget: Budget) -> CostTerm:
        """See `Quantity`."""
        from unas.objectives.energy import EnergyTerm

        return EnergyTerm(weight=WEIGHT, limit=self.aim * budget.limit)
