"""Measuring latency: warm up until the clock is steady, then take many samples."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from unas.errors import UserError
from unas.latency import backends
from unas.latency.backends import Backend
from unas.latency.backends.onnxruntime import clock
from unas.onnx_conversion import open_session

WINDOW = 5  # runs whose median is compared with that of the runs before
STEADY = 0.05  # relative difference of two such medians that counts as steady
MIN_SAMPLES = 5


@dataclass(frozen=True)
class Latency:
    """The time of one forward of one batch.

    Args:
        median_ms: the median, in milliseconds.
        p10: the 10th percentile, in milliseconds.
        p90: the 90th percentile, in milliseconds.
        samples: how many runs they are taken from.
        device: where it ran, for example "cpu" or "cuda:0".
        backend: what ran it.
    """

    median_ms: float
    p10: float
    p90: float
    samples: int
    device: str
    backend: str


def measure(
    net: nn.Module,
    input_shape: tuple[int, ...],
    backend: str | Backend = "eager",
    device: str | torch.device = "cpu",
    *,
    threads: int | None = None,
    samples: int = 50,
    max_seconds: float = 10.0,
) -> Latency:
    """Return how long a network takes for one batch in evaluation mode, without gradients.

    Args:
        net: the network; it is left as it is.
        input_shape: (C, H, W) for one image, or (B, C, H, W).
        backend: a name of `unas.latency.backends.names()`, or an instance.
        device: where it runs.
        threads: CPU threads; None for the default.
        samples: how many runs are taken.
        max_seconds: half of it is the most that warming up takes, the rest is for the samples; at least 5 are taken.

    Raises:
        UserError: an argument is out of its range, or the backend can't use the device.
    """
    chosen = backends.get(backend)() if isinstance(backend, str) else backend
    shape = _batch_shape(input_shape)
    for name, value, least in (("samples", samples, MIN_SAMPLES), ("threads", threads, 1)):
        if value is not None and value < least:
            raise UserError(f"{name} is {value}; it must be at least {least}")
    if not max_seconds > 0:
        raise UserError(f"max_seconds is {max_seconds}; it must be above 0")
    where = torch_device(device)
    with torch_threads(threads):
        run = chosen.prepare(net, shape, where, threads)
        return _measured(run, samples, max_seconds, str(where), backends.registry.name_of(type(chosen)))


def measure_file(
    path: Path,
    input_shape: tuple[int, ...],
    *,
    threads: int | None = None,
    samples: int = 50,
    max_seconds: float = 10.0,
) -> Latency:
    """Return how long an exported ONNX file takes for one batch in ONNX Runtime on the CPU; see `measure`."""
    run = clock(open_session(path, threads), _batch_shape(input_shape))
    return _measured(run, samples, max_seconds, "cpu", "onnxruntime")


def _measured(run: Callable[[], float], samples: int, max_seconds: float, device: str, backend: str) -> Latency:
    warm_up(run, max_seconds / 2)
    times = take_samples(run, samples, max_seconds / 2)
    low, median, high = (float(value) for value in np.percentile(times, (10, 50, 90)))
    return Latency(median, low, high, len(times), device, backend)


def warm_up(run: Callable[[], float], max_seconds: float) -> int:
    """Run until two medians in a row of a few runs are nearly equal, or the time is up; return how many runs it took.

    Args:
        run: runs the network once and returns the milliseconds.
        max_seconds: the most that it takes, by those milliseconds.
    """
    spent_ms, previous = 0.0, float("inf")
    for window in itertools.count(1):
        times = [run() for _ in range(WINDOW)]
        spent_ms += sum(times)
        median = statistics.median(times)
        if abs(median - previous) <= STEADY * previous < float("inf") or spent_ms >= 1e3 * max_seconds:
            return window * WINDOW
        previous = median
    raise AssertionError  # pragma: no cover  count() has no end


def take_samples(run: Callable[[], float], samples: int, max_seconds: float) -> list[float]:
    """Return the milliseconds of `samples` runs; of fewer, but at least 5, when the time is up."""
    times: list[float] = []
    while len(times) < samples and (len(times) < MIN_SAMPLES or sum(times) < 1e3 * max_seconds):
        times.append(run())
    return times


@contextmanager
def torch_threads(threads: int | None) -> Iterator[None]:
    """Let PyTorch use this many CPU threads for a while; None changes nothing."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def torch_device(device: str | torch.device) -> torch.device:
    """Return the device with its index, checked to exist.

    Raises:
        UserError: there is no such device.
    """
    try:
        # A name without an index means the current device; an empty tensor knows which that is.
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device is {str(device)!r}: {str(error).splitlines()[0]}; use cpu or cuda") from error


def _batch_shape(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    if len(shape) not in {3, 4} or min(shape) < 1:
        raise UserError(f"input_shape is {shape}; give (C, H, W) or (B, C, H, W), for example (3, 32, 32)")
    batch, channels, height, width = shape if len(shape) == 4 else (1, *shape)
    return batch, channels, height, width
