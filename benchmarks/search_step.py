"""Time one search step against the plain one, in turn in one process.

python benchmarks/search_step.py PATH/baseline_step.py [--batch 32] [--channels 16]
[--layers 8] [--pairs 5]
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import unas
from unas.compute.hardware import cpu_name, device_name


def load_baseline(path: Path) -> Any:
    """Import the yardstick from its file."""
    spec = importlib.util.spec_from_file_location("baseline_step", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def seconds(
    step: Callable[..., Any], data: tuple[torch.Tensor, ...], device: torch.device
) -> float:
    """Return the time of one step."""
    start = time.perf_counter()
    step(*data)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("baseline", type=Path)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bn", nargs="+", default=["batch", "routed"])
    parser.add_argument("--precision", default="float32")
    arguments = parser.parse_args()
    baseline = load_baseline(arguments.baseline)
    device = torch.device(arguments.device)
    config: Any = unas.recipe("cifar10")
    config = replace(config, runtime=replace(config.runtime, precision=arguments.precision))
    steps = {"baseline": baseline.build(arguments.channels, arguments.layers, arguments.device)}
    for bn in arguments.bn:
        space = replace(config.space, channels=arguments.channels, layers=arguments.layers, bn=bn)
        steps[bn] = unas.search_step(replace(config, space=space), device=arguments.device)

    where = device_name(device)
    if device.type == "cpu":
        where = f"{cpu_name()}, {torch.get_num_threads()} threads"
    print(f"{where}, torch {torch.__version__}, Python {platform.python_version()}")
    print(
        f"C {arguments.channels}, L {arguments.layers}, B {arguments.batch}, {arguments.precision}"
    )
    times: dict[str, list[float]] = {name: [] for name in steps}
    for pair in range(arguments.pairs + 1):
        data = baseline.batch(arguments.batch, arguments.device)
        for name, step in steps.items():
            elapsed = seconds(step, data, device)
            if pair:  # the first one warms up
                times[name].append(elapsed)
        if pair:
            latest = ", ".join(f"{name} {taken[-1]:.3f} s" for name, taken in times.items())
            print(f"pair {pair}: {latest}", flush=True)
    for name, taken in times.items():
        ratios = [plain / ours for plain, ours in zip(times["baseline"], taken, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        median = f"{statistics.median(taken):.3f} s, ratio {statistics.median(ratios):.2f}"
        print(f"{name}: median {median} ({spread})")


if __name__ == "__main__":
    main()
