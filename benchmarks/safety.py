"""Time search steps with their guards and without them, in turn: what safety costs.

    python benchmarks/safety.py digits [--steps 100]
    torchrun --standalone --nproc-per-node 2 benchmarks/safety.py digits [--steps 100]

Guards are what a step does against numbers that are not finite. What is done now and then or
outside of a step (checksums of several processes, their reduction, the wish to stop, checkpoints on
the disk of --out) is timed alone, and its part of a step's time at the default intervals is added.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from unas.compute.torchrun import joined
from unas.recipes import recipe
from unas.runs.checkpoints import Checkpoints
from unas.searching import gradient as search_gradient
from unas.searching import step as search_step
from unas.searching.step import SearchStep

Wait = Callable[[], None]


class _Unguarded:
    """What updates weights and looks at no number."""

    norm = math.nan

    def __init__(self, search: SearchStep) -> None:
        self.search = search

    def __call__(self, loss: Tensor) -> tuple[float, bool]:
        search = self.search
        nn.utils.clip_grad_norm_(search.weights, search.config.clip_norm)
        search.weight_optimiser.step()
        search.weight_optimiser.zero_grad()
        return float(loss), True


@contextmanager
def unguarded(search: SearchStep) -> Iterator[None]:
    """Let steps be what they would be if every number were finite."""

    def step(policy_optimiser: torch.optim.Optimizer) -> bool:
        policy_optimiser.step()
        return True

    def carried(loss: Tensor) -> Tensor:
        return loss

    with (
        mock.patch.object(search_gradient, "all_finite", return_value=True),
        mock.patch.object(search_gradient, "carried_by_gradient", carried),
        mock.patch.object(search_step, "carried_by_gradient", carried),
        mock.patch.object(search_step, "step_if_all_finite", step),
        mock.patch.object(search, "_weight_updates", _Unguarded(search)),
    ):
        yield


def seconds(function: Callable[[], object], wait: Wait) -> float:
    """Return the time of one call."""
    wait()
    began = time.perf_counter()
    function()
    wait()
    return time.perf_counter() - began


def median_of(function: Callable[[], object], times: int, wait: Wait) -> float:
    """Return the median time of a call."""
    return statistics.median(seconds(function, wait) for _ in range(times))


def interval(with_guards: list[float], without: list[float]) -> tuple[float, float, float]:
    """Return the ratio of medians and its 95 % interval: a bootstrap of pairs."""
    pairs = np.array([with_guards, without])
    drawn = np.random.default_rng(0).integers(pairs.shape[1], size=(2000, pairs.shape[1]))
    medians = np.median(pairs[:, drawn], axis=2)
    low, high = np.quantile(medians[0] / medians[1], (0.025, 0.975))
    return float(np.median(pairs[0]) / np.median(pairs[1])), float(low), float(high)


Times = list[float]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("--steps", type=int, default=100, help="of each kind (default: 100)")
    parser.add_argument(
        "--size", type=int, default=8, help="height and width of an image (default: 8)"
    )
    parser.add_argument("--channels", type=int, default=1, help="of an image (default: 1)")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs"),
        help="folder that checkpoints go to and leave again",
    )
    return parser.parse_args()


def paired(search: SearchStep, images: int, arguments: argparse.Namespace) -> tuple[Times, Times]:
    """Return the seconds of steps with guards and without, in turn."""
    runtime = search.runtime
    shape = (images, arguments.channels, arguments.size, arguments.size)
    x = torch.randn(shape, device=runtime.device)
    y = torch.randint(10, (images,), device=runtime.device)

    def plain() -> float:
        with unguarded(search):
            return seconds(lambda: search(x, y, x, y), runtime.synchronise)

    def guarded() -> float:
        return seconds(lambda: search(x, y, x, y), runtime.synchronise)

    for _ in range(3):
        guarded(), plain()
    times: dict[Callable[[], float], Times] = {guarded: [], plain: []}
    orders = itertools.cycle(((guarded, plain), (plain, guarded)))
    for _, order in zip(range(arguments.steps), orders, strict=False):
        for kind in order:
            times[kind].append(kind())
    return times[guarded], times[plain]


def main() -> None:
    arguments = _arguments()
    config = recipe(arguments.recipe)
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (
        joined(config.runtime.build().device) as ranks,
        tempfile.TemporaryDirectory(dir=arguments.out) as folder,
    ):
        runtime = config.runtime.build()
        search = SearchStep(config.space, config.search, 10, arguments.channels, runtime)
        share = ranks.share(config.search.batch_size, "search.batch_size")
        with_guards, without = paired(search, share, arguments)
        ratio, low, high = interval(with_guards, without)
        step = statistics.median(without)
        every, named = runtime.ranks_compared_every, search.named_tensors()
        checkpoints, numbers = Checkpoints(Path(folder)), itertools.count(1)

        def save() -> None:
            if ranks.is_main:
                checkpoints.save("search", next(numbers), {"search": search.state_dict()})

        timed_alone = {
            f"checksum, every {every} steps": (
                lambda: ranks.require_equal(named, "now"),
                every * step,
            ),
            "wish to stop, every step": (lambda: ranks.largest(0), step),
            f"checkpoint, every {config.checkpoint.every_seconds:g} s": (
                save,
                config.checkpoint.every_seconds,
            ),
        }
        where = f"{ranks.size} process(es), {runtime.describe()}, torch {torch.__version__}"
        lines = [
            f"{arguments.recipe}, {where}, {share} images each: "
            f"step without {1000 * step:.1f} ms (n = {arguments.steps})",
            f"guards: ratio {ratio:.4f} (95 %: {low:.4f} to {high:.4f})",
        ]
        total = ratio - 1
        for name, (function, whole) in timed_alone.items():
            taken = median_of(function, 20, runtime.synchronise)
            total += taken / whole
            lines.append(f"{name}: {1000 * taken:.3f} ms, {100 * taken / whole:.3f} %")
        lines.append(f"together: {100 * total:.2f} %")
        if ranks.is_main:
            print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
