"""Time the weight gradient of depthwise convolutions, ours against PyTorch's, in turn.

python benchmarks/depthwise.py [--repeats 15]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from unas.compute.hardware import cpu_name
from unas.nn.native import Geometry, depthwise_kernel, depthwise_weight_gradient

SIZES = ((32, 16, 32), (32, 32, 16), (32, 64, 8))
FILTERS = ((3, 1), (3, 2), (5, 1), (7, 1))


def milliseconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    if depthwise_kernel() is None:
        raise SystemExit("there is no C compiler, so nothing to compare")
    where = f"{cpu_name()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"{where}, median of {repeats}")
    print("| images | filter | dilation | PyTorch, ms | ours, ms | ratio |")
    print("|---|---|---:|---:|---:|---:|")
    for batch, channels, side in SIZES:
        for kernel, dilation in FILTERS:
            padding = dilation * (kernel - 1) // 2
            shape = (batch, channels, side, side)
            images, gradient = (
                torch.randn(shape).to(memory_format=torch.channels_last) for _ in range(2)
            )
            weight = torch.randn(channels, 1, kernel, kernel).to(memory_format=torch.channels_last)
            geometry = Geometry(kernel, 1, dilation, padding)

            def theirs(
                g: torch.Tensor = gradient,
                x: torch.Tensor = images,
                w: torch.Tensor = weight,
                p: Geometry = geometry,
            ) -> Any:
                pad, dil, mask = [p.padding] * 2, [p.dilation] * 2, [False, True, False]
                return torch.ops.aten.convolution_backward(
                    g, x, w, None, [1, 1], pad, dil, False, [0, 0], x.shape[1], mask
                )

            def ours(
                g: torch.Tensor = gradient, x: torch.Tensor = images, p: Geometry = geometry
            ) -> Any:
                return depthwise_weight_gradient(x, g, p)

            theirs(), ours()
            pairs = [(milliseconds(theirs), milliseconds(ours)) for _ in range(repeats)]
            plain = statistics.median(pair[0] for pair in pairs)
            fast = statistics.median(pair[1] for pair in pairs)
            name = f"[{', '.join(map(str, shape))}]"
            times = f"{plain:.3f} | {fast:.3f} | {plain / fast:.1f}"
            print(f"| {name} | {kernel}×{kernel} | {dilation} | {times} |")


if __name__ == "__main__":
    main()
