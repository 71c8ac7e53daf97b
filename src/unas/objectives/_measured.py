"""Costs that are measured: what was measured on another machine is forgotten."""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from typing import Any

from unas.costs.gauges import Gauge
from unas.latency.backends import Backend
from unas.latency.fingerprint import Fingerprint
from unas.latency.measurement import prepared
from unas.objectives._resource import CostTerm, RunningCost
from unas.objectives.base import Setting


class RunningMeasuredCost(RunningCost):
    """A cost term, during a search, whose figures are valid on one machine.

    Args:
        term: its options.
        setting: where it is used.
        gauge: reads the cost of one architecture.
        backend: what runs the network.
    """

    def __init__(self, term: CostTerm, setting: Setting, gauge: Gauge, backend: Backend) -> None:
        super().__init__(term, setting, gauge)
        self.backend = backend

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """What the figures are valid for."""
        shape = (self.term.batch_size(), *self.setting.blueprint.image_shape)
        with prepared(shape, self.backend, self.gauge.where, None) as (_, fingerprint):
            return fingerprint

    def state_dict(self) -> dict[str, Any]:
        """See `RunningCost`; with where it was measured."""
        return {**super().state_dict(), "fingerprint": asdict(self.fingerprint)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `RunningCost`.

        What was measured elsewhere is forgotten, and measured here when it is asked for.
        """
        super().load_state_dict(state)
        there = Fingerprint.from_dict(state.get("fingerprint"), "the checkpoint")
        difference = self.setting.ranks.on_main(lambda: there.difference(self.fingerprint))
        if difference is not None:
            self.setting.say(f"{self.term.quantity}: measured again, since {difference}")
            self.forget()

    def forget(self) -> None:
        """Forget what was measured."""
        self.table = None
