"""Measuring latency: warm up until the clock is steady, then take many samples."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from unas.common.errors import UserError, first_line
from unas.compute.threads import MAX_THREADS, torch_threads
from unas.latency import backends
from unas.latency.backends import Backend, Clock
from unas.latency.fingerprint import Fingerprint
from unas.latency.latency import Latency

WINDOW = 5  # runs whose median is compared with that of the runs before
STEADY = 0.05  # relative difference of two such medians that counts as steady
SAMPLES = 50  # runs that a figure is taken from, unless the caller says otherwise
MAX_SECONDS = 10.0  # that one measurement takes, unless the caller says otherwise
MIN_SAMPLES = 6  # fewer have no confidence interval of 95 %


def measure(
    net: nn.Module,
    input_shape: tuple[int, ...],
    backend: str | Backend = "eager",
    device: str | torch.device = "cpu",
    *,
    threads: int | None = None,
    samples: int = SAMPLES,
    max_seconds: float = MAX_SECONDS,
) -> Latency:
    """Return how long a network takes for one batch in evaluation mode, without gradients.

    Args:
        net: the network; it is left as it is.
        input_shape: (C, H, W) for one image, or (B, C, H, W).
        backend: a name of `unas.latency.backends.names()`, or an instance.
        device: where it runs.
        threads: CPU threads; None for as many as PyTorch has.
        samples: how many runs are clocked.
        max_seconds: half of it is the most that warming up takes, and the other half the most that
            the runs take; at least 6 are clocked all the same.

    Raises:
        UserError: an argument is out of its range, or the backend can't use the device.
    """
    with prepared(input_shape, backend, device, threads) as (runner, fingerprint):
        check_samples(samples, max_seconds)
        run = runner.prepare(net, *batch_of(fingerprint))
        return _measured(run, samples, max_seconds, fingerprint)


def measure_file(
    path: Path,
    input_shape: tuple[int, ...],
    backend: str | Backend = "onnxruntime",
    device: str | torch.device = "cpu",
    *,
    threads: int | None = None,
    samples: int = SAMPLES,
    max_seconds: float = MAX_SECONDS,
) -> Latency:
    """Return how long an ONNX file takes for one batch.

    Args:
        path: the file.
        input_shape: see `measure`.
        backend: see `measure`; it must be one that runs files.
        device: see `measure`.
        threads: see `measure`.
        samples: see `measure`.
        max_seconds: see `measure`.

    Raises:
        UserError: an argument is out of its range, or the backend can't run this file.
    """
    with prepared(input_shape, backend, device, threads) as (runner, fingerprint):
        check_samples(samples, max_seconds)
        run = runner.prepare_file(path, *batch_of(fingerprint))
        return _measured(run, samples, max_seconds, fingerprint)


@contextmanager
def prepared(
    input_shape: tuple[int, ...],
    backend: str | Backend,
    device: str | torch.device,
    threads: int | None,
) -> Iterator[tuple[Backend, Fingerprint]]:
    """Check where to measure, and let PyTorch use that many threads inside the block.

    Raises:
        UserError: an argument is out of its range, or the backend can't use the device.
    """
    runner = as_backend(backend)
    shape = batch_shape(input_shape)
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise UserError(f"threads is {threads}; it must be at least 1 and at most {MAX_THREADS}")
    where = torch_device(device)
    runner.require_device(where)
    with torch_threads(threads):
        yield runner, Fingerprint.here(runner, shape, where, torch.get_num_threads())


def as_backend(backend: str | Backend) -> Backend:
    """Return a backend that is given as itself or by its name.

    Raises:
        UserError: there is none of this name.
    """
    return backends.create(backend) if isinstance(backend, str) else backend


def check_samples(samples: int, max_seconds: float) -> None:
    """Refuse fewer samples or less time than a median needs.

    Raises:
        UserError: an argument is out of its range.
    """
    if samples < MIN_SAMPLES:
        raise UserError(f"samples is {samples}; it must be at least {MIN_SAMPLES}")
    if not max_seconds > 0:
        raise UserError(f"max_seconds is {max_seconds}; it must be above 0")


def batch_of(fingerprint: Fingerprint) -> tuple[tuple[int, int, int, int], torch.device, int]:
    """Return the last arguments of `Backend.prepare`: the batch's shape, device and threads."""
    shape = (fingerprint.batch_size, *fingerprint.input_shape)
    return shape, torch.device(fingerprint.device), fingerprint.threads


def _measured(run: Clock, samples: int, max_seconds: float, fingerprint: Fingerprint) -> Latency:
    warm_up(run, max_seconds / 2)
    return Latency.of(take_samples(run, samples, max_seconds / 2), fingerprint)


def warm_up(run: Callable[[], float], max_seconds: float) -> int:
    """Run until two medians in a row of a few runs are nearly equal, or the time is up.

    Args:
        run: runs the network once and returns the milliseconds.
        max_seconds: when the time is up, by those milliseconds or by this machine's clock.

    Returns:
        How many runs it took.
    """
    start = time.monotonic()
    spent_ms = 0.0
    previous = math.inf
    for window in itertools.count(1):
        times = [run() for _ in range(WINDOW)]
        spent_ms += sum(times)
        median = statistics.median(times)
        is_steady = abs(median - previous) <= STEADY * previous < math.inf
        is_over = max(spent_ms / 1e3, time.monotonic() - start) >= max_seconds
        if is_steady or is_over:
            return window * WINDOW
        previous = median
    raise AssertionError  # pragma: no cover  count() has no end


def take_samples(run: Callable[[], float], samples: int, max_seconds: float) -> list[float]:
    """Return the milliseconds of so many runs; of fewer, but at least 6, when the time is up.

    Args:
        run: runs the network once and returns the milliseconds.
        samples: how many runs.
        max_seconds: when the time is up, by those milliseconds or by this machine's clock.
    """
    start = time.monotonic()
    times: list[float] = []
    while len(times) < samples:
        is_over = max(sum(times) / 1e3, time.monotonic() - start) >= max_seconds
        if is_over and len(times) >= MIN_SAMPLES:
            break
        times.append(run())
    return times


def torch_device(device: str | torch.device) -> torch.device:
    """Return the device with its index, checked to exist.

    Raises:
        UserError: there is no such device.
    """
    try:
        # A name without an index means the current device; an empty tensor knows which that is.
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device is {str(device)!r}: {first_line(error)}; use cpu or cuda"
        ) from error


def batch_shape(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return (B, C, H, W) of a shape that may leave out B, which is then 1.

    Raises:
        UserError: it is neither (C, H, W) nor (B, C, H, W).
    """
    if len(shape) not in {3, 4} or min(shape) < 1:
        raise UserError(
            f"input_shape is {shape}; give (C, H, W) or (B, C, H, W), for example (3, 32, 32)"
        )
    *batch, channels, height, width = shape
    return batch[0] if batch else 1, channels, height, width
