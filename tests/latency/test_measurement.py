"""Latency: the statistics against numbers we made, the clock against a network that sleeps."""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from unas.common.errors import UserError
from unas.latency import Latency, backends, measure
from unas.latency.latency import median_interval
from unas.latency.measurement import take_samples, warm_up


@dataclass(frozen=True)
class ListedBackend(backends.Backend):
    """Returns prepared times."""

    times: tuple[float, ...] = (1.0,)

    def prepare(
        self, _network: object, _batch_shape: object, _device: object, _threads: object
    ) -> Callable[[], float]:
        times = itertools.cycle(self.times)
        return lambda: next(times)


class Sleeper(nn.Module):
    def __init__(self, milliseconds: float) -> None:
        super().__init__()
        self.milliseconds = milliseconds
        self.norm = nn.BatchNorm2d(3)
        self.dropout = nn.Dropout()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        time.sleep(self.milliseconds / 1e3)
        return self.dropout(self.norm(images))


def test_median_and_percentiles_are_those_of_the_times() -> None:
    times = tuple(np.random.default_rng(0).permutation(np.arange(1, 21)).astype(float) / 100 + 1)
    latency = measure(nn.Identity(), (3, 8, 8), ListedBackend(times), samples=40)
    assert latency.samples == 40
    assert latency.median_ms == pytest.approx(1.105)
    assert (latency.p10, latency.p90) == pytest.approx(tuple(np.quantile(times * 2, (0.1, 0.9))))
    assert latency.device == latency.fingerprint.device == "cpu"
    assert not latency.is_noisy


def test_a_wide_spread_is_called_noisy() -> None:
    latency = measure(nn.Identity(), (3, 8, 8), ListedBackend((1.0, 1.0, 1.3)), samples=30)
    assert latency.is_noisy
    assert "; noisy, measure again" in latency.line()
    assert (
        "noisy"
        not in measure(nn.Identity(), (3, 8, 8), ListedBackend((1.0, 1.1)), samples=30).line()
    )


@pytest.mark.parametrize("count", [6, 9, 25, 50])
def test_the_interval_holds_the_median_as_often_as_it_says(count: int) -> None:
    generator = np.random.default_rng(count)
    draws = generator.lognormal(
        0.0, 0.5, size=(2000, count)
    )  # skewed, as times are; the median is 1
    intervals = np.array([median_interval(times) for times in draws])
    held = np.mean((intervals[:, 0] <= 1) & (intervals[:, 1] >= 1))
    exact = stats.binom(count, 0.5)
    k = next(k for k in range(count) if exact.cdf(k) > 0.025)
    assert held >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 2000)
    assert np.array_equal(intervals, np.sort(draws, axis=1)[:, [k - 1, count - k]])


def test_five_samples_have_no_interval_and_give_their_range() -> None:
    assert median_interval([3.0, 1.0, 2.0, 5.0, 4.0]) == (1.0, 5.0)


def test_warm_up_ends_when_the_times_are_steady() -> None:
    slow_start = itertools.chain((100.0 / n for n in range(1, 21)), itertools.repeat(2.0))
    runs = warm_up(lambda: next(slow_start), max_seconds=60)
    assert runs == 30  # 20 falling, one window to see the level, one to see that it stays
    assert warm_up(lambda: 3.0, max_seconds=60) == 10


def test_waiting_counts_as_much_as_running() -> None:
    def slow() -> float:
        time.sleep(0.05)
        return 1.0  # a command that takes longer to reach the device than the network takes on it

    start = time.monotonic()
    warm_up(slow, max_seconds=0.2)
    assert len(take_samples(slow, 100, max_seconds=0.2)) == 6
    assert time.monotonic() - start < 3


def test_warm_up_is_bounded_where_times_never_settle() -> None:
    grows = (1.5**n for n in itertools.count())
    assert warm_up(lambda: next(grows), max_seconds=1.0) < 30


def test_samples_are_bounded_by_time_but_never_too_few() -> None:
    assert len(take_samples(lambda: 1.0, 50, max_seconds=10)) == 50
    assert len(take_samples(lambda: 100.0, 50, max_seconds=2)) == 20
    assert len(take_samples(lambda: 1e6, 50, max_seconds=2)) == 6


def test_eager_clock_agrees_with_a_network_of_known_time() -> None:
    network = Sleeper(20)
    latency = measure(network, (2, 3, 4, 4), samples=7)
    assert isinstance(latency, Latency)
    assert latency.backend == "eager"
    assert 20 <= latency.p10 <= latency.median_ms <= latency.p90
    assert latency.p10 < 60  # a busy machine adds, but not in nine of ten runs
    assert network.training
    assert network.norm.num_batches_tracked == 0


def test_threads_are_set_while_measuring_and_put_back() -> None:
    before = torch.get_num_threads()
    seen = []

    class Watcher(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append((torch.get_num_threads(), images.shape))
            return images

    measure(Watcher(), (3, 4, 4), threads=1, samples=6)
    assert set(seen) == {(1, (1, 3, 4, 4))}
    assert torch.get_num_threads() == before


def test_onnxruntime_measures_a_real_network_slower_when_it_is_larger() -> None:
    def network(width: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, width, 3), nn.Conv2d(width, width, 5), nn.Flatten(), nn.LazyLinear(2)
        )

    medians = []
    for width in (2, 96):
        net = network(width)
        net(torch.zeros(1, 3, 32, 32))
        latency = measure(net, (3, 32, 32), "onnxruntime", threads=1, samples=9)
        assert latency.backend == "onnxruntime"
        medians.append(latency.median_ms)
    assert medians[1] > 3 * medians[0]


def test_backends_are_found_by_name() -> None:
    assert set(backends.names()) == {"command", "compiled", "eager", "onnxruntime"}
    assert all(issubclass(backends.get(name), backends.Backend) for name in backends.names())


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"backend": "eeger"}, "did you mean eager"),
        ({"input_shape": (32, 32)}, "input_shape"),
        ({"input_shape": (3, 0, 8)}, "input_shape"),
        ({"samples": 5}, "samples is 5"),
        ({"threads": 0}, "threads is 0"),
        ({"max_seconds": 0.0}, "max_seconds"),
        ({"device": "gpu"}, "device is 'gpu'"),
        ({"device": "meta"}, "device is meta"),
        ({"device": "meta", "backend": "onnxruntime"}, "device is meta"),
    ],
)
def test_wrong_arguments_give_one_line(arguments: dict[str, Any], part: str) -> None:
    with pytest.raises(UserError) as error:
        measure(nn.Identity(), **{"input_shape": (3, 8, 8)} | arguments)
    assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_cuda_events_wait_for_the_device() -> None:
    layers = nn.Sequential(*[nn.Conv2d(256, 256, 3, padding=1) for _ in range(20)])
    latency = measure(layers, (64, 256, 56, 56), device="cuda", samples=9)
    # 20 layers of 118 GFLOP: no GPU does it in the fraction of a millisecond that launching takes
    assert latency.median_ms > 1.0
    assert latency.device == "cuda:0"


# Where a backend runs the network of a run on the CPU, on a GPU and on an Apple GPU.
RUNS_ON = {
    "command": ["cpu", "cpu", "cpu"],
    "compiled": ["cpu", "cuda:0", "cpu"],
    "eager": ["cpu", "cuda:0", "cpu"],
    "onnxruntime": ["cpu", "cpu", "cpu"],
}


@pytest.mark.parametrize("name", backends.names())
def test_a_run_on_a_device_that_a_backend_has_no_clock_for_is_measured_on_the_cpu(
    name: str,
) -> None:
    options = {"command": "true"} if name == "command" else {}
    backend = backends.create(name, **options)
    assert [backend.device_for(device) for device in ("cpu", "cuda:0", "mps")] == RUNS_ON[name]
    if backend.devices:
        with pytest.raises(UserError, match=f"device is mps; the {name} backend measures on"):
            backend.require_device(torch.device("mps"))
