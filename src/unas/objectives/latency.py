"""Latency of the deployed network."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from unas.architecture.policy import Sample
from unas.common.errors import UserError
from unas.costs.table import CostTable
from unas.latency.backends import Backend
from unas.latency.backends.onnxruntime import OnnxRuntimeBackend
from unas.latency.fitting import fit_predictor
from unas.latency.gauges import Stopwatch
from unas.latency.predictor import Predictor
from unas.latency.predictor_files import load_predictor
from unas.objectives._measured import RunningMeasuredCost
from unas.objectives._resource import CostTerm
from unas.objectives.base import Setting

Mode = Literal["predicted", "measured"]
HELD_OUT = 8


@dataclass(frozen=True)
class LatencyTerm(CostTerm):
    """κ·max(0, T(z) − T*) of the network that will be deployed (UNAS, section 3.3).

    Architectures are drawn for it alone, and the one that is measured is the one that is scored.
    For an estimator with a control variate, that of T is T̂(ζ), linear in the one-hot choices.

    Args:
        weight: κ, for each millisecond.
        warm_up_steps: κ grows linearly from 0 over the first so many search steps (published:
            30,000).
        target_ms: T*, in milliseconds.
        backend: what runs the network.
        mode: "predicted": T is T̂, and 32 architectures are drawn a step; "measured": T is a
            clock's, and one is drawn, or two by reinforce_loo. A measured architecture is not
            measured again.
        predictor: a file that `unas latency fit` wrote; none fits one to a few measurements before
            the search.
        batch: how many images at once T is the latency of.
    """

    quantity: ClassVar[str] = "latency"
    log_unit: ClassVar[str] = "ms"

    weight: float = 0.1
    target_ms: float = 10.0
    backend: Backend = OnnxRuntimeBackend()
    mode: Mode = "predicted"
    predictor: str | None = None
    batch: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.target_ms < math.inf:
            raise UserError(f"target_ms is {self.target_ms}; it must be above 0, and finite")
        if not (isinstance(self.batch, int) and self.batch >= 1):
            raise UserError(f"batch is {self.batch!r}; it must be a whole number, 1 or more")
        if self.batch > 1 and not self.backend.chooses_batch:
            raise UserError(
                f"batch is {self.batch}, but backend {self.backend.word} makes its own; "
                "leave batch out"
            )
        if self.mode not in get_args(Mode):
            raise UserError(f"mode is {self.mode!r}; it must be {' or '.join(get_args(Mode))}")

    @property
    def most(self) -> float:
        """See `CostTerm`."""
        return self.target_ms

    @property
    def scale(self) -> float:
        """See `CostTerm`: κ is for each millisecond."""
        return 1.0

    def aimed_at(self, most: float) -> LatencyTerm:
        """See `CostTerm`."""
        return replace(self, target_ms=most)

    def measured_with(self) -> Backend:
        """See `CostTerm`."""
        return self.backend

    def batch_size(self) -> int:
        """See `CostTerm`."""
        return self.batch

    def start(self, setting: Setting) -> RunningLatency:
        """See `CostTerm`.

        Raises:
            UserError: the mode is "measured", and the estimator asks for relaxed architectures
                alone.
        """
        if self.mode == "measured" and not setting.estimator.is_unbiased:
            raise UserError(
                "mode is measured, but a relaxed architecture can't be; "
                "use an unbiased estimator, or mode predicted"
            )
        return RunningLatency(self, setting)


class RunningLatency(RunningMeasuredCost):
    """The latency term during a search.

    Args:
        term: its options.
        setting: where it is used.

    Attributes:
        measured: the milliseconds of each architecture that was measured, by what it picks.
    """

    def __init__(self, term: LatencyTerm, setting: Setting) -> None:
        stopwatch = Stopwatch(setting.blueprint, term.backend, setting.device, term.batch)
        super().__init__(term, setting, stopwatch, term.backend)
        self.options = term
        self.measured: dict[str, float] = {}
        if term.mode == "measured":
            self.use_few_draws()

    def make_table(self) -> tuple[CostTable, bool]:
        """See `RunningCost`."""
        path = self.options.predictor
        predictor = self._fitted() if path is None else self._loaded(path)
        return predictor.table, False

    def _loaded(self, path: str) -> Predictor:
        blueprint = self.setting.blueprint
        predictor = load_predictor(Path(path))
        predictor.check(self.fingerprint, blueprint.space, blueprint.size(), path)
        return predictor

    def _fitted(self) -> Predictor:
        start = time.monotonic()
        blueprint = self.setting.blueprint
        predictor = fit_predictor(
            blueprint.space,
            blueprint.options,
            (self.options.batch, *blueprint.image_shape),
            self.options.backend,
            self.gauge.where,
            num_classes=blueprint.num_classes,
            held_out=HELD_OUT,
        )
        quality = predictor.quality
        self.setting.say(
            f"latency: {quality.architectures} + {quality.held_out} networks measured, "
            f"{time.monotonic() - start:.0f} s; error {quality.mape:.1f} % on those held out"
        )
        return predictor

    def read(self, sample: Sample) -> Tensor:
        """See `RunningCost`; an architecture that was measured before is not measured again."""
        if self.options.mode == "predicted":
            return super().read(sample)
        genotypes = dict(zip(self._keys(sample), sample.genotypes(), strict=True))
        missing = {key: g for key, g in genotypes.items() if key not in self.measured}

        def clocked() -> dict[str, float]:
            return {key: self.gauge(genotype).value for key, genotype in missing.items()}

        times = self.setting.ranks.on_main(clocked) if missing else {}
        for key, milliseconds in times.items():
            if math.isfinite(milliseconds):
                self.measured[key] = milliseconds
        known = self.measured | times
        figures = [known[key] for key in self._keys(sample)]
        return torch.tensor(figures, dtype=sample.groups[0].dtype)

    def _keys(self, sample: Sample) -> list[str]:
        """Return for each architecture the positions of the options that it picks."""
        picks = [sample.picks[name] for name in self.layout.choices]
        return [" ".join(str(pick[g]) for pick in picks) for g in range(len(sample))]

    def num_samples(self) -> int:
        """See `RunningCost`."""
        if self.options.mode == "measured":
            return self.fewest()
        return super().num_samples()

    def state_dict(self) -> dict[str, Any]:
        """See `RunningMeasuredCost`; with all that was measured."""
        return {**super().state_dict(), "measured": self.measured}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `RunningMeasuredCost`."""
        self.measured = dict(state["measured"])
        super().load_state_dict(state)

    def forget(self) -> None:
        """See `RunningMeasuredCost`."""
        super().forget()
        self.measured = {}
