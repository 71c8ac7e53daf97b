"""Compare the latency predictor with the published procedure: its error, and its cost.

    python benchmarks/predictor.py [--quick] [--spaces darts proxylessnas]
        [--backends eager onnxruntime] [--rounds 8]

The published procedure measures 10,000 architectures drawn uniformly, ten times each, and fits a
ridge regression to the one-hot architecture. Here it is measured with fewer architectures (the
column says how many), each by the median of ten forwards, and its cost for 10,000 is the measured
time of one architecture times 10,000. Its error at 10,000 is computed: the latencies of 10,000
drawn architectures are taken to be the predictor's, disturbed like the measured ones.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import torch
from sklearn.linear_model import RidgeCV

from unas import spaces
from unas.architecture.genotype import Genotype
from unas.architecture.policy import Sample
from unas.compute.hardware import cpu_name
from unas.costs.blocks import random_genotypes
from unas.latency import backends
from unas.latency.fitting import fit_predictor, spearman
from unas.latency.measurement import batch_of, prepared
from unas.latency.timing import NetworkTimer
from unas.spaces import Blueprint

PUBLISHED, REPEATS = 10_000, 10
SIZES: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "darts": ({"channels": 8, "layers": 5}, (3, 16, 16)),
    "proxylessnas": ({"width": 0.5}, (3, 64, 64)),
    "proxylessnas, full size": ({}, (3, 224, 224)),  # not by default: 15 minutes
}
ALPHAS = np.logspace(-3, 3, 13)


def one_hot(space: spaces.SearchSpace, genotypes: Sequence[Genotype]) -> np.ndarray:
    columns = [(name, option) for name, options in space.choices.items() for option in options]
    rows = [[float(g.choices[name] == option) for name, option in columns] for g in genotypes]
    return np.array(rows)


def errors(predicted: np.ndarray, measured: np.ndarray) -> tuple[float, float]:
    percent = 100 * float(np.mean(np.abs(predicted - measured) / measured))
    return percent, spearman(predicted, measured)


def ridge(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> np.ndarray:
    predicted: np.ndarray = RidgeCV(alphas=ALPHAS).fit(x, y).predict(x_test)
    return predicted


def measured_one_after_the_other(
    timer: NetworkTimer, genotypes: Sequence[Genotype]
) -> tuple[np.ndarray, float]:
    """Return each network's median of ten forwards after one, and the seconds of all tens."""
    medians, seconds = [], 0.0
    with prepared(timer.input_shape, timer.backend, timer.device, timer.threads) as (
        backend,
        fingerprint,
    ):
        for genotype in genotypes:
            run = backend.prepare(timer.build(genotype).eval(), *batch_of(fingerprint))
            run()
            start = time.perf_counter()
            medians.append(float(np.median([run() for _ in range(REPEATS)])))
            seconds += time.perf_counter() - start
    return np.array(medians), seconds


def compare(name: str, backend: str, held_out: int, drawn: Sequence[int], rounds: int) -> str:
    space, (size, shape) = spaces.get(name.partition(",")[0])(), SIZES[name]
    options, generator = space.network_options(**size), np.random.default_rng(1)
    build = Blueprint(space, options, 10, shape).network
    timer = NetworkTimer(build, shape, backends.get(backend)(), threads=1, rounds=rounds)
    others, learning = (
        random_genotypes(space, count, generator) for count in (held_out, max(drawn))
    )

    before = timer(others, generator).milliseconds
    predictor = fit_predictor(space, options, shape, backend, threads=1, held_out=0)
    times, seconds = measured_one_after_the_other(timer, learning)
    after = timer(others, generator).milliseconds
    # A machine that became slower meanwhile is then unfair to neither.
    truth = np.sqrt(before * after)
    ours = predictor.predict(Sample.from_genotypes(predictor.layout, others)).double().numpy()

    x, x_test = one_hot(space, learning), one_hot(space, others)
    published = {n: errors(ridge(x[:n], times[:n], x_test), truth) for n in drawn}
    learnt = predictor.predict(Sample.from_genotypes(predictor.layout, learning)).double().numpy()
    noise = times / learnt
    many = random_genotypes(space, PUBLISHED, generator)
    pretended = predictor.predict(Sample.from_genotypes(predictor.layout, many)).double().numpy()
    pretended *= generator.choice(noise, PUBLISHED)
    at_end = errors(ridge(one_hot(space, many), pretended, x_test), truth)

    quality, cost = predictor.quality, seconds / len(learning) * PUBLISHED
    figures = (errors(ours, truth), errors(after, before))
    cells = [
        name,
        backend,
        f"{np.median(truth):.3g}",
        f"{quality.architectures} / {quality.forwards}",
    ]
    cells += [f"{quality.measuring_seconds:.2f}", f"{quality.building_seconds:.0f}"]
    cells += [f"{mape:.2f} %, {rho:.3f}" for mape, rho in figures]
    cells += [f"{published[n][0]:.2f} %, {published[n][1]:.3f}" for n in drawn]
    cells += [
        f"{at_end[0]:.2f} %, {at_end[1]:.3f}",
        f"{cost:.0f}",
        f"{cost / quality.measuring_seconds:.0f}×",
    ]
    cells += [f"{PUBLISHED * REPEATS / quality.forwards:.0f}×"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="fewer architectures, to see that it runs"
    )
    parser.add_argument("--spaces", nargs="+", default=list(SIZES)[:2], choices=list(SIZES))
    parser.add_argument("--backends", nargs="+", default=["eager", "onnxruntime"])
    parser.add_argument(
        "--rounds", type=int, default=8, help="of the held-out architectures, before and after"
    )
    arguments = parser.parse_args()
    held_out, drawn, rounds = 120, [100, 200, 400], arguments.rounds
    if arguments.quick:
        held_out, drawn, rounds = 30, [40], 3
    torch.set_num_threads(1)
    versions = (
        f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}, "
        f"Python {platform.python_version()}"
    )
    print(
        f"{cpu_name()}, 1 thread, {versions}; {held_out} architectures held out, "
        f"{rounds} rounds of 3 forwards each"
    )
    print(
        "; ".join(f"{name}: {SIZES[name][0]}, images {SIZES[name][1]}" for name in arguments.spaces)
    )
    columns = [
        "space",
        "backend",
        "median, ms",
        "ours: architectures / forwards",
        "measuring, s",
        "building, s",
    ]
    columns += ["ours: error, rank", "measured before against after"]
    columns += [f"ridge, {n} × {REPEATS}" for n in drawn]
    columns += [
        "ridge, 10,000 × 10 (computed)",
        "its measuring, s (extrapolated)",
        "ratio of time",
        "ratio of forwards",
    ]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    start = time.perf_counter()
    for name in arguments.spaces:
        for backend in arguments.backends:
            print(compare(name, backend, held_out, drawn, rounds), flush=True)
    print(f"\n{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
