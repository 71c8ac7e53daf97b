"""The energy of a forward: how much a counter grows while the network runs again and again."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from unas.common.errors import UserError
from unas.costs.reading import Reading
from unas.latency.backends import Backend, Clock
from unas.latency.energy_counters import POWERCAP, EnergyCounter, find_counter
from unas.latency.fingerprint import Fingerprint
from unas.latency.latency import median_interval
from unas.latency.measurement import batch_of, prepared, warm_up

MIN_WINDOWS = 6  # fewer have no confidence interval of 95 %
Window = tuple[float, int]  # the millijoules of a stretch of time, and the forwards that ran in it


@dataclass(frozen=True)
class Energy:
    """The energy of one forward of one batch, of the whole processor, its idle power included.

    Args:
        median_mj: the median of all windows, in millijoules.
        low_mj: lower end of the median's 95 % confidence interval, in millijoules.
        high_mj: upper end of the median's 95 % confidence interval, in millijoules.
        windows: how many stretches of time were counted.
        forwards: how many forwards ran in these stretches.
        counter: the name of the counter.
        fingerprint: the machine, the versions and the input.
    """

    median_mj: float
    low_mj: float
    high_mj: float
    windows: int
    forwards: int
    counter: str
    fingerprint: Fingerprint

    @classmethod
    def of(cls, windows: Sequence[Window], counter: str, fingerprint: Fingerprint) -> Energy:
        """Return the energy that a counter of this name saw in these windows."""
        figures = [millijoules / forwards for millijoules, forwards in windows]
        low, high = median_interval(figures)
        return cls(
            median_mj=statistics.median(figures),
            low_mj=low,
            high_mj=high,
            windows=len(windows),
            forwards=sum(forwards for _, forwards in windows),
            counter=counter,
            fingerprint=fingerprint,
        )

    def reading(self) -> Reading:
        """Return the median with its interval, in millijoules, and what counted."""
        return Reading(self.median_mj, self.low_mj, self.high_mj, self.counter)


def measure_energy(
    net: nn.Module | Path,
    input_shape: tuple[int, ...],
    backend: str | Backend = "eager",
    device: str | torch.device = "cpu",
    *,
    threads: int | None = None,
    windows: int = 9,
    window_seconds: float = 0.3,
    root: Path = POWERCAP,
) -> Energy:
    """Return the energy of one forward of a batch.

    Args:
        net: the network, or an ONNX file.
        input_shape: (C, H, W) for one image, or (B, C, H, W).
        backend: what runs it, on this machine.
        device: where it runs.
        threads: CPU threads; None for as many as PyTorch has.
        windows: how many stretches of time are counted.
        window_seconds: how long each of them is, at least.
        root: the directory where the kernel shows its power zones.

    Raises:
        UserError: an argument is out of its range, or the device's energy can't be counted.
    """
    _check_windows(windows, window_seconds)
    with prepared(input_shape, backend, device, threads) as (runner, fingerprint):
        if runner.is_remote:
            raise UserError(
                f"backend {fingerprint.backend}: energy can be counted on this machine alone"
            )
        counter = find_counter(torch.device(fingerprint.device), root)
        if isinstance(net, Path):
            run = runner.prepare_file(net, *batch_of(fingerprint))
        else:
            run = runner.prepare(net, *batch_of(fingerprint))
        warm_up(run, max_seconds=windows * window_seconds)
        counted = [_window(run, counter, window_seconds) for _ in range(windows)]
    return Energy.of(counted, counter.name, fingerprint)


def _check_windows(windows: int, window_seconds: float) -> None:
    """Refuse fewer or shorter windows than a median needs."""
    if windows < MIN_WINDOWS:
        raise UserError(f"windows is {windows}; it must be at least {MIN_WINDOWS}")
    if not window_seconds > 0:
        raise UserError(f"window_seconds is {window_seconds}; it must be above 0")


def _window(run: Clock, counter: EnergyCounter, seconds: float) -> Window:
    """Count the energy of forwards for at least so many seconds, at most twice as many.

    The window begins and ends with a tick of the counter, while the network runs: an NVIDIA GPU's
    ticks are a tenth of a second apart.
    """
    counter.wait_for_update()
    before = counter.now()
    start = time.monotonic()
    reading = None
    for forwards in itertools.count(1):
        run()
        elapsed = time.monotonic() - start
        if elapsed < seconds:
            continue
        now = counter.now()
        has_ticked = reading is not None and now != reading
        if has_ticked or elapsed >= 2 * seconds:
            return counter.between(before, now), forwards
        reading = now
    raise AssertionError  # pragma: no cover  count() has no end
