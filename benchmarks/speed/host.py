"""What a search spends beside its steps: on batches, logs, checkpoints and pictures."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import unas
from speed.section import Section, Settings
from speed.turns import wait_for
from unas.common.errors import UserError
from unas.config import Config
from unas.data import BatchStream, Dataset, ImageData
from unas.pipeline.batches import search_streams, watched_batches
from unas.pipeline.opening import work_in
from unas.pipeline.phases import new_search
from unas.searching import loop
from unas.searching.step import SearchStep

PARTS = ("step", "batches", "mode", "rest")
IMAGES = 12_800  # of CIFAR-10; half of them train


@dataclass(frozen=True)
class Part(Dataset):
    """The first images of a data set.

    Args:
        whole: all of them.
        images: how many train.
    """

    whole: Dataset
    images: int

    def load(self, root: Path) -> ImageData:
        """Load the whole data set and leave out the rest."""
        data = self.whole.load(root)
        return replace(data, train=data.train.subset(torch.arange(self.images)))


def host(settings: Settings) -> Section:
    """Search as the recipes do, a few epochs on a part of the images."""
    rows: list[tuple[str, ...]] = []
    figures: dict[str, Any] = {}
    for name, config in _searches(settings).items():
        rounds = []
        for _ in range(settings.pairs):
            steps, seconds = _search(config, settings.device)
            rounds.append(seconds)
            parts = ", ".join(f"{part} {seconds[part]:.2f} s" for part in PARTS)
            print(f"  {name}, {steps} steps: {parts}", flush=True)
        median = {part: statistics.median(seconds[part] for seconds in rounds) for part in PARTS}
        shares = [f"{100 * median[part] / median['step']:.1f} %" for part in PARTS[1:]]
        rows.append((name, f"{steps}", f"{1e3 * median['step'] / steps:.0f} ms", *shares))
        figures[name] = {"steps": steps, "rounds": rounds}
    return Section(
        "What a search does beside its steps",
        "Searches of two epochs of warm-up and one of policy, in a run directory, with the "
        f"recipes' logs and checkpoints; of CIFAR-10, on {IMAGES:,} images. Shares are of the "
        f"steps' own "
        f"time; medians of {settings.pairs} searches. The mode is the policy's, which is evaluated "
        "on validation images after each epoch.",
        ("", "steps", "a step", "batches", "the mode", "logs, checkpoints, pictures"),
        rows,
        figures,
    )


def _searches(settings: Settings) -> dict[str, Config]:
    root = os.environ.get("UNAS_DATA") or "data"
    configs: dict[str, Config] = {}
    for name in ("digits", "cifar10-fast", "nasbench201"):
        recipe = unas.recipe(name)
        if name != "digits":
            recipe = replace(recipe, dataset=Part(recipe.dataset, IMAGES), data_root=root)
        search = replace(
            recipe.search, warm_up_epochs=2, epochs=1, settling_steps=0, small_epochs=0
        )
        runtime = replace(recipe.runtime, device=str(settings.device))
        configs[name] = replace(recipe, search=search, runtime=runtime)
    return configs


def _search(config: Config, device: torch.device) -> tuple[int, dict[str, float]]:
    """Return how many steps a search had, and the seconds of its parts."""
    clock = _Clock(device)
    with tempfile.TemporaryDirectory() as folder, _opened(config, Path(folder)) as work:
        train, validation = search_streams(config, work.data, work.ranks)
        search = new_search(work, train.steps_per_epoch)
        watch = watched_batches(work.data, validation.image_set, work.ranks)
        search(*train.batch(0), *validation.batch(0))  # what is loaded once is no step's
        search = new_search(work, train.steps_per_epoch)
        with clock.watching():
            start = time.perf_counter()
            loop.search_loop(search, train, validation, work.session, watch)
            whole = time.perf_counter() - start
    seconds = clock.seconds
    seconds["rest"] = whole - sum(seconds.values())
    return search.steps, seconds


@contextmanager
def _opened(config: Config, folder: Path) -> Iterator[Any]:
    try:
        with work_in(config, folder / "run", "search", resume=False, quiet=True) as work:
            yield work
    except UserError as error:
        raise SystemExit(f"{error}; UNAS_DATA=FOLDER says where CIFAR-10 is") from error


class _Clock:
    """Adds up what parts of a search take."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds = dict.fromkeys(PARTS[:-1], 0.0)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Time the parts inside the block."""
        with (
            self._timed("step", SearchStep, "warm_up"),
            self._timed("step", SearchStep, "between"),
            self._timed("step", SearchStep, "__call__"),
            self._timed("batches", BatchStream, "batch"),
            self._timed("mode", loop, "mode_scores"),
        ):
            yield

    def _timed(self, part: str, owner: Any, name: str) -> Any:
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **options: Any) -> Any:
            start = time.perf_counter()
            outcome = function(*args, **options)
            wait_for(self._device)
            self.seconds[part] += time.perf_counter() - start
            return outcome

        return mock.patch.object(owner, name, timed)
