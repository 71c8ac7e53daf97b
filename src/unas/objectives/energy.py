"""Energy of the deployed network."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from unas.architecture.genotype import Genotype
from unas.costs.table import CostTable
from unas.costs.tabulating import fitted_table
from unas.latency.gauges import EnergyMeter
from unas.objectives._measured import RunningMeasuredCost
from unas.objectives._resource import LimitTerm
from unas.objectives.base import Setting

MEASURED = 48  # random networks, a second or two each


@dataclass(frozen=True)
class EnergyTerm(LimitTerm):
    """How far the energy of a forward of one image is over a limit.

    It is predicted from measured networks.

    Args:
        limit: in millijoules.
    """

    quantity: ClassVar[str] = "energy"
    log_unit: ClassVar[str] = "mj"

    def start(self, setting: Setting) -> RunningEnergy:
        """See `CostTerm`."""
        return RunningEnergy(self, setting)


class RunningEnergy(RunningMeasuredCost):
    """The energy term during a search.

    Args:
        term: its options.
        setting: where it is used.
    """

    def __init__(self, term: EnergyTerm, setting: Setting) -> None:
        meter = EnergyMeter(setting.blueprint, setting.device)
        super().__init__(term, setting, meter, meter.backend)

    def make_table(self) -> tuple[CostTable, bool]:
        """See `RunningCost`."""
        start = time.monotonic()

        def millijoules(genotype: Genotype) -> float:
            return self.gauge(genotype).value

        table = fitted_table(self.setting.blueprint.space, millijoules, MEASURED)
        self.setting.say(f"energy: {MEASURED} networks measured, {time.monotonic() - start:.0f} s")
        return table, False
