"""Timing many networks in turn, so that a machine that does something else does little harm."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from unas.architecture.genotype import Genotype
from unas.latency.backends import Backend, Clock
from unas.latency.fingerprint import Fingerprint
from unas.latency.measurement import batch_of, prepared

Array = npt.NDArray[np.float64]

MAX_BYTES_AT_ONCE = 2**30  # weights of the networks in memory; those beyond it come afterwards


@dataclass(frozen=True)
class Timing:
    """The times of several networks, and what it took to measure them.

    Args:
        milliseconds: the time of each network, [n].
        forwards: how many forwards ran, those that warm up included.
        building_seconds: how long making, exporting and opening the networks took.
        measuring_seconds: how long running the networks took.
    """

    milliseconds: Array
    forwards: int
    building_seconds: float
    measuring_seconds: float


@dataclass(frozen=True)
class NetworkTimer:
    """Times the networks of architectures, of the size that is deployed.

    Args:
        build: returns the network of an architecture.
        input_shape: (C, H, W) for one image, or (B, C, H, W).
        backend: what runs the networks.
        device: where the networks run.
        threads: CPU threads; None for as many as PyTorch has.
        rounds: how often each network has its turn.
        runs: how many forwards are clocked in a turn.
        warm_ups: how many forwards of a turn come first, which bring the weights into the cache.
    """

    build: Callable[[Genotype], nn.Module]
    input_shape: tuple[int, ...]
    backend: Backend
    device: str = "cpu"
    threads: int | None = None
    rounds: int = 5
    runs: int = 3
    warm_ups: int = 1

    def fingerprint(self) -> Fingerprint:
        """Return what the times are valid for."""
        with self._prepared() as (_, fingerprint):
            return fingerprint

    def __call__(self, genotypes: Sequence[Genotype], generator: np.random.Generator) -> Timing:
        """Time the networks of these architectures.

        Args:
            genotypes: the architectures.
            generator: draws the order of the turns.

        Raises:
            UserError: the backend can't use the device, or a measurement fails.
        """
        times: list[Array] = []
        building = measuring = 0.0
        waiting = list(genotypes)
        with self._prepared() as (backend, fingerprint):
            while waiting:
                start = time.perf_counter()
                clocks = self._take_clocks(waiting, backend, fingerprint)
                built = time.perf_counter()
                times.append(in_turn(clocks, self.rounds, self.runs, self.warm_ups, generator))
                building += built - start
                measuring += time.perf_counter() - built
        forwards = len(genotypes) * self.rounds * (self.runs + self.warm_ups)
        return Timing(np.concatenate(times), forwards, building, measuring)

    def _prepared(self) -> AbstractContextManager[tuple[Backend, Fingerprint]]:
        return prepared(self.input_shape, self.backend, self.device, self.threads)

    def _take_clocks(
        self, waiting: list[Genotype], backend: Backend, fingerprint: Fingerprint
    ) -> list[Clock]:
        """Take as many architectures from the front as memory may hold; return their clocks."""
        clocks: list[Clock] = []
        held = 0
        while waiting and (not clocks or held < MAX_BYTES_AT_ONCE):
            network = self.build(waiting.pop(0)).eval()
            held += sum(p.numel() * p.element_size() for p in network.parameters())
            clocks.append(backend.prepare(network, *batch_of(fingerprint)))
        return clocks


def in_turn(
    clocks: Sequence[Clock], rounds: int, runs: int, warm_ups: int, generator: np.random.Generator
) -> Array:
    """Return the milliseconds of each clock, [n], comparable with each other on a busy machine too.

    What else runs on a machine only adds to a time, and seldom to all runs of one network: the
    networks are compared by their fastest runs. The level is that of medians, as `measure` reports
    them: all are multiplied with the median, over all turns, of the turn's median run relative to
    the network's fastest.

    Args:
        clocks: functions that run one network each, once.
        rounds: how often each clock has its turn, in an order drawn anew.
        runs: how many runs are clocked in a turn.
        warm_ups: how many runs come before the clocked ones in a turn.
        generator: draws the orders.
    """
    times = np.empty((len(clocks), rounds, runs))
    for round_number in range(rounds):
        for index in generator.permutation(len(clocks)):
            run = clocks[index]
            for _ in range(warm_ups):
                run()
            times[index, round_number] = [run() for _ in range(runs)]
    fastest = times.min((1, 2))
    level = np.median(np.median(times, 2) / fastest[:, None])
    return np.asarray(fastest * level)
