"""Things that are run in turn, so that whatever else the machine does meets all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

# Does something, and returns the seconds that it took.
Timed = Callable[[], float]


@dataclass(frozen=True)
class Turns:
    """How long each thing took in each round.

    Args:
        seconds: of each round, by the name of the thing.
    """

    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Return the median of a thing's rounds, in seconds."""
        return statistics.median(self.seconds[name])

    def ratios(self, name: str, beside: str) -> list[float]:
        """Return of each round how many times as fast `name` was as `beside`."""
        pairs = zip(self.seconds[beside], self.seconds[name], strict=True)
        return [slow / fast for slow, fast in pairs]

    def cells(self, name: str, beside: str, *, is_duration: bool = False) -> tuple[str, str, str]:
        """Return the median in seconds, the median ratio, and its least and largest value.

        Args:
            name: of the thing.
            beside: of the thing that the ratio compares it with.
            is_duration: the ratio is of durations, and not of speeds.
        """
        median = f"{self.median(name):.3f} s"
        if name == beside:
            return median, "1", ""
        ratios = self.ratios(beside, name) if is_duration else self.ratios(name, beside)
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        return median, f"**{statistics.median(ratios):.2f}**", spread


def clocked(run: Callable[[], object], device: torch.device) -> Timed:
    """Return what times `run` on a device."""

    def timed() -> float:
        wait_for(device)
        start = time.perf_counter()
        run()
        wait_for(device)
        return time.perf_counter() - start

    return timed


def wait_for(device: torch.device) -> None:
    """Wait until a device has finished, as a clock must."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def in_turn(things: Mapping[str, Timed], pairs: int) -> Turns:
    """Run all things once to warm up, then in turn `pairs` times, and print each round."""
    seconds: dict[str, list[float]] = {name: [] for name in things}
    for timed in things.values():
        timed()
    for number in range(1, pairs + 1):
        for name, timed in things.items():
            seconds[name].append(timed())
        latest = ", ".join(f"{name} {taken[-1]:.3f} s" for name, taken in seconds.items())
        print(f"  pair {number}: {latest}", flush=True)
    return Turns(seconds)
