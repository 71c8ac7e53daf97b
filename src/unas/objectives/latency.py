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
from unas.latency.predictor_files import load_predictor
from unas.objectives._measured import RunningMeasuredCost
from unas.objectives._resource import CostTerm
from unas.objectives.base import Setting

Mode = Literal["predicted", "measured"]
HELD_OUT = 8


@dataclass(frozen=True)
class LatencyTerm(CostTerm):
    """κ·max(0, T(z) − T*) of architectures drawn for it alone (SPEC §3), in the network that will be deployed.

    The architecture that is measured is the one that is scored. For an estimator with a control
    variate, that of T is T̂(ζ), linear in the one-hot choices.

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
    """

    quantity: ClassVar[str] = "latency"
    log_unit: ClassVar[str] = "ms"

    weight: float = 0.1
    target_ms: float = 10.0
    backend: Backend = OnnxRuntimeBackend()
    mode: Mode = "predicted"
    predictor: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.target_ms < math.inf:
            raise UserError(f"target_ms is {self.target_ms}; it must be above 0, and finite")
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

    def start(self, setting: Setting) -> RunningLatency:
        """See `CostTerm`.

        Raises:
            UserError: the mode is "measured", and the estimator asks for relaxed architectures
                alone.
        """
        if self.mode == "measured" and not setting.estimator.is_unbiased:
            raise UserError(
                "mode is measured, but a relaxed architecture can't be; use an unbiased estimator, or mode predicted"
            )
        return RunningLatency(self, setting)


class RunningLatency(RunningMeasuredCost):
    """The latency term during a search.

    Args:
        term: its options.
        setting: where it is used.
    """

    def __init__(self, term: LatencyTerm, setting: Setting) -> None:
        self.stopwatch = Stopwatch(setting.blueprint, term.backend, setting.device)
        super().__init__(term, setting, self.stopwatch, term.backend, self.stopwatch.where)
        self.options = term
        if term.mode == "measured":
            self.use_few_draws()
        self.measured: dict[str, float] = {}  # by the positions of the picked options

    def make_table(self) -> tuple[CostTable, bool]:
        """See `RunningCost`."""
        blueprint, path, start = self.setting.blueprint, self.options.predictor, time.monotonic()
        if path is not None:
            found = load_predictor(Path(path))
            found.check(self.fingerprint, blueprint.space, blueprint.size(), path)
        else:
            found = fit_predictor(
                blueprint.space,
                blueprint.options,
                blueprint.image_shape,
                self.options.backend,
                self.stopwatch.where,
                num_classes=blueprint.num_classes,
                held_out=HELD_OUT,
            )
            quality = found.quality
            self.setting.say(
                f"latency: {quality.architectures} + {quality.held_out} networks measured, "
                f"{time.monotonic() - start:.0f} s; error {quality.mape:.1f} % on those held out"
            )
        return found.table, False

    def read(self, sample: Sample) -> Tensor:
        """See `RunningCost`."""
        if self.options.mode == "predicted":
            return super().read(sample)
        keys = [
            " ".join(str(sample.picks[name][g]) for name in self.layout.choices)
            for g in range(len(sample))
        ]
        pairs = dict(zip(keys, sample.genotypes(), strict=True))
        missing = {key: genotype for key, genotype in pairs.items() if key not in self.measured}

        def clocked() -> dict[str, float]:
            return {key: self.gauge(genotype).value for key, genotype in missing.items()}

        found = self.setting.ranks.on_main(clocked) if missing else {}
        self.measured |= {key: value for key, value in found.items() if math.isfinite(value)}
        figures = [found[key] if key in found else self.measured[key] for key in keys]
        return torch.tensor(figures, dtype=sample.groups[0].dtype)

    def num_samples(self) -> int:
        """See `RunningCost`."""
        return super().num_samples() if self.options.mode == "predicted" else self.fewest()

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
