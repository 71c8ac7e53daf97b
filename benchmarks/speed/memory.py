"""How much memory a search step takes at most, each in a process of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import unas
from speed.searching import PLAIN, configs, load_yardstick
from speed.section import Section, Settings
from unas.common.errors import UserError
from unas.compute.peak_memory import peak_memory
from unas.data import DataSize
from unas.nn.lease import give_back
from unas.pipeline.estimate import of_search

STEPS = 2  # with the second, the optimisers' averages are there from the start
MIB = 2**20


def peak_bytes(settings: Settings, name: str) -> int:
    """Return how much building a step and doing it takes beyond what the process had before."""
    batch = load_yardstick(settings.yardstick).batch(settings.batch, str(settings.device))
    few = [tensor[: max(settings.batch // 4, 4)] for tensor in batch]
    _step(settings, name)(*few)  # what is loaded once is no step's
    give_back()
    with peak_memory(settings.device) as peak:
        step = _step(settings, name)
        for _ in range(STEPS):
            step(*batch)
        return peak()


def _step(settings: Settings, name: str) -> Callable[..., object]:
    device = str(settings.device)
    if name == PLAIN:
        yardstick = load_yardstick(settings.yardstick)
        plain: Callable[..., object] = yardstick.build(settings.channels, settings.layers, device)
        return plain
    return unas.search_step(configs(settings)[name], device=device)


def estimate(settings: Settings, name: str) -> float:
    """Return what `--dry-run` says a step takes."""
    config = configs(settings)[name]
    config = replace(config, search=replace(config.search, batch_size=settings.batch))
    runtime = replace(config.runtime, device=str(settings.device)).build()
    size = DataSize(train=50_000, test=10_000, num_classes=10, image_shape=(3, 32, 32))
    return of_search(config, size, runtime).memory_bytes


def memory(settings: Settings) -> Section:
    """Measure the plain step and ours, and what a dry run says of ours."""
    peaks: dict[str, int] = {}
    estimates: dict[str, float] = {}
    # A new process each: the largest so far of a process never falls.
    context = multiprocessing.get_context("spawn")
    for name in (PLAIN, *configs(settings)):
        with context.Pool(1) as pool:
            try:
                peaks[name] = pool.apply(partial(peak_bytes, settings, name))
            except UserError as refusal:
                print(f"  {name}: {refusal}", flush=True)
                continue
            if name != PLAIN:
                estimates[name] = pool.apply(partial(estimate, settings, name))
        print(f"  {name}: {peaks[name] / MIB:.0f} MiB", flush=True)
    rows = []
    for name, peak in peaks.items():
        share = f"{peak / peaks[PLAIN]:.2f}"
        dry_run = ""
        if name in estimates:
            dry_run = f"{estimates[name] / MIB:.0f} MiB ({estimates[name] / peak:.2f} ×)"
        rows.append((name, f"{peak / MIB:.0f} MiB", share, dry_run))
    return Section(
        "Memory of a search step",
        f"C {settings.channels}, L {settings.layers}, B {settings.batch}: the most that a process "
        "has while it builds supernet and optimisers and does two steps, less what it had before "
        "(after a step of a quarter of the images, which loads libraries and kernels).",
        ("", "peak", "beside the plain step", "`--dry-run` says"),
        rows,
        {"peak_bytes": peaks, "estimated_bytes": estimates},
    )
