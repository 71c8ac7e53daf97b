"""The cost of being several processes: checksums and reductions in a search step of a recipe.

`torchrun --standalone --nproc-per-node 2 benchmarks/ranks.py digits --steps 50`
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from unas.distributed import joined
from unas.recipes import recipe
from unas.search_update import SearchStep


def seconds(function: Callable[[], object], times: int, wait: Callable[[], None]) -> list[float]:
    found = []
    for _ in range(times):
        wait()
        began = time.perf_counter()
        function()
        wait()
        found.append(time.perf_counter() - began)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--size", type=int, default=8, help="height and width of an image")
    parser.add_argument("--channels", type=int, default=1)
    arguments = parser.parse_args()
    config = recipe(arguments.recipe)
    with joined(config.runtime.build().device) as ranks:
        runtime = config.runtime.build()
        search = SearchStep(config.space, config.search, 10, arguments.channels, runtime)
        own = ranks.share(config.search.batch_size, "search.batch_size")
        x = torch.randn(own, arguments.channels, arguments.size, arguments.size, device=runtime.device)
        y = torch.randint(10, (own,), device=runtime.device)
        for _ in range(3):
            search(x, y, x, y)
        gradients = [torch.randn_like(weight) for weight in search.weights]
        named = search.named_tensors()
        step = statistics.median(seconds(lambda: search(x, y, x, y), arguments.steps, runtime.synchronise))
        parts = {
            f"checksum, once in {runtime.ranks_compared_every} steps": (
                lambda: ranks.require_equal(named, "now"),
                runtime.ranks_compared_every,
            ),
            "reduction of the weights' gradients": (lambda: ranks.mean(gradients), 1),
            "wish to stop": (lambda: ranks.largest(0), 1),
        }
        lines = [f"{ranks.size} processes, {runtime.describe()}, {own} images each: step {1000 * step:.1f} ms"]
        for name, (function, every) in parts.items():
            found = statistics.median(seconds(function, arguments.steps, runtime.synchronise))
            share = 100 * found / every / step
            lines.append(f"{name}: {1000 * found:.3f} ms, {share:.2f} % of the time of a step")
        if ranks.is_main:
            print("\n".join(lines))


if __name__ == "__main__":
    main()
