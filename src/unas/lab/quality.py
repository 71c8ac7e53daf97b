"""Is the found cell any good? It against random cells of the same space, all trained alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from unas import pipeline
from unas.architecture.genotype import Genotype
from unas.architecture.policy import Policy
from unas.common import documents, files
from unas.common.files import make_directory
from unas.compute.seeds import generator_for, step_seed
from unas.config import Config
from unas.estimators import draw_hard
from unas.estimators import get as get_estimator
from unas.estimators.base import Estimator
from unas.lab._figure import plotted
from unas.lab.quality_plot import write_plot
from unas.lab.quality_time import Seconds, expected_best
from unas.pipeline.opening import require_same, work_in
from unas.pipeline.phases import train_network
from unas.runs.names import GENOTYPE, SUMMARY
from unas.searching.collapse import collapse

FOUND = "found"


@dataclass(frozen=True)
class Percentile:
    """Where the found cell lies among the random ones.

    Args:
        value: share of the random cells whose mean accuracy is lower, ties counted half, from 0 to
            1.
        low: lower end of the 95 % interval (Wilson) of that share.
        high: its upper end.
        cells: how many random cells.
    """

    value: float
    low: float
    high: float
    cells: int


def percentile(found: float, others: Sequence[float]) -> Percentile:
    """Return the percentile of one accuracy among others, with Wilson's 95 % interval."""
    n, z = len(others), 1.959964
    share = sum((other < found) + 0.5 * (other == found) for other in others) / n
    centre, half = (
        share + z * z / (2 * n),
        z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5,
    )
    low, high = ((centre + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return Percentile(share, max(low, 0.0), min(high, 1.0), n)


def quality(
    config: Config,
    out: Path,
    cells: int = 20,
    seeds: int = 1,
    estimators: Sequence[str] = (),
    *,
    trainings: int = 0,
    quiet: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Search with each seed, train what it gave and random cells alike, and compare them.

    Every search and training is a run directory below `out`; those that are there already are not
    repeated, so the same call goes on where it was stopped; of another configuration, they are
    refused.

    Args:
        config: the recipe.
        out: the directory for all of it; gets quality.json and, where matplotlib is there,
            quality.png.
        cells: N, how many random cells.
        seeds: S, how many searches, with S seeds from the recipe's on; what each finds is trained
            once.
        estimators: names of other estimators whose found cells are trained too.
        trainings: how many trainings each random cell has; 0: as many as there are searches. Those
            of the same number have the same seed, that of what the search of that number found too.
        quiet: show no progress.
        say: gets a line after each training.

    Returns:
        what quality.json holds: the test accuracies of each cell, the percentile of the mean of
        what was found and of each search's, the best of as many random ones as a search's time
        buys, and for each search what would tell a collapse; with `plot`, the picture's path, or
        None, and then `plot_missing` says why.
    """
    make_directory(out)
    numbers = range(config.seed, config.seed + seeds)
    trials = _Trials(config, out, numbers, Seconds(out / "seconds.json"), quiet, say)
    architectures = config.search.num_architectures(config.search.batch_size)
    cells_of = {FOUND: config.search.estimator}
    cells_of |= {name: get_estimator(name)().fitted_to(architectures) for name in estimators}
    trials.search(cells_of)
    drawn = random_genotypes(config, cells)
    trials.train_random(drawn, trainings or seeds)
    report = {
        "cells": len(drawn),
        "seeds": seeds,
        "first_seed": config.seed,
        "trainings": trainings or seeds,
        "test_accuracy": dict(trials.accuracies),
        **_placed(trials.accuracies, cells_of),
        **_bought(trials.accuracies, trials.seconds),
        "collapse": dict(trials.collapses),
        "random_skip_share": _mean_skip_share(config, drawn),
    }
    documents.write_json(out / "quality.json", report)
    return report | plotted(lambda path: write_plot(report, path), out / "quality.png")


@dataclass(frozen=True)
class _Trials:
    """Searches and trainings, each a run directory below `out`, with what they gave, by cell."""

    config: Config
    out: Path
    seeds: range
    seconds: Seconds
    quiet: bool
    say: Callable[[str], None]
    accuracies: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    collapses: defaultdict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def search(self, estimators: Mapping[str, Estimator]) -> None:
        """Search with each seed and estimator, and train what was found."""
        for seed in self.seeds:
            for label, estimator in estimators.items():
                directory = self.out / f"search-{label}-{seed}"
                with self.seconds.of(directory):
                    genotype = _search(self.config, directory, estimator, seed, quiet=self.quiet)
                self.collapses[label].append(_collapse(self.config, directory, genotype))
                self._train(label, genotype, seed)
                self.say(f"{label}, seed {seed}: {self.accuracies[label][-1]:.4f}")

    def train_random(self, genotypes: Sequence[Genotype], trainings: int) -> None:
        """Train each so many times."""
        for number, genotype in enumerate(genotypes):
            label = f"random-{number}"
            for training in range(trainings):
                self._train(label, genotype, self.seeds.start + training)
            self.say(f"{label}: {np.mean(self.accuracies[label]):.4f}")

    def _train(self, label: str, genotype: Genotype, seed: int) -> None:
        directory = self.out / f"train-{label}-{seed}"
        with self.seconds.of(directory):
            accuracy = _train(self.config, directory, genotype, seed, self.quiet)
        self.accuracies[label].append(accuracy)


def _placed(accuracies: Mapping[str, Sequence[float]], searched: Iterable[str]) -> dict[str, Any]:
    """Return the median of the random cells, and where what was searched lies among them."""
    means = {label: float(np.mean(values)) for label, values in accuracies.items()}
    random_means = [mean for label, mean in means.items() if label.startswith("random-")]
    return {
        "random_median": float(np.median(random_means)),
        "percentile": {label: vars(percentile(means[label], random_means)) for label in searched},
        "percentile_of_each": {
            label: [percentile(value, random_means).value for value in accuracies[label]]
            for label in searched
        },
    }


def _bought(
    accuracies: Mapping[str, Sequence[float]], seconds: Seconds
) -> dict[str, dict[str, float] | None]:
    """Return how good the best of as many random cells is as a search's time would train.

    None where a time isn't known; without `test_accuracy` where it buys more cells than there are.
    The best is the best on the test images, which a search has not seen: chance is favoured.
    """
    search, training = seconds.mean("search-found-"), seconds.mean("train-random-")
    if not search or not training:
        return {"bought": None}
    cells = max(1, round(search / training))
    means = [
        float(np.mean(values))
        for label, values in accuracies.items()
        if label.startswith("random-")
    ]
    figures = {"search_seconds": search, "training_seconds": training, "cells": cells}
    if cells <= len(means):
        figures["test_accuracy"] = expected_best(means, cells)
    return {"bought": figures}


def random_genotypes(config: Config, count: int) -> list[Genotype]:
    """Return different architectures drawn uniformly from the space, always the same."""
    policy = Policy(config.space.choices, space=config.space.registry_name)
    distinct: dict[Genotype, None] = {}
    for step in range(100 * count):
        (genotype,) = draw_hard(policy, 1, generator_for(0, "quality", step)).genotypes()
        distinct[genotype] = None
        if len(distinct) == count:
            break
    return list(distinct)


def _search(
    config: Config, directory: Path, estimator: Estimator, seed: int, *, quiet: bool
) -> Genotype:
    seeded = replace(config, search=replace(config.search, estimator=estimator), seed=seed)
    if (directory / SUMMARY).exists():
        require_same(seeded, directory)
    else:
        pipeline.search(seeded, directory, resume=True, quiet=quiet)
    return Genotype.from_json(files.read_text(directory / GENOTYPE), str(directory / GENOTYPE))


def _collapse(config: Config, directory: Path, genotype: Genotype) -> dict[str, Any]:
    """Return what tells whether a search has collapsed: of its choice, and of its policy."""
    signs = collapse(config.space, genotype)
    summary = documents.read_json(directory / SUMMARY)
    return {
        "skip_share": signs.figures().get("skip_share"),
        "normalised_entropy": summary.get("normalised_entropy"),
        "alarms": signs.alarms() | summary.get("alarms", {}),
    }


def _mean_skip_share(config: Config, genotypes: Sequence[Genotype]) -> float | None:
    shares = []
    for genotype in genotypes:
        share = collapse(config.space, genotype).figures().get("skip_share")
        if share is None:
            return None
        shares.append(share)
    return float(np.mean(shares))


def _train(config: Config, directory: Path, genotype: Genotype, seed: int, quiet: bool) -> float:
    """Return the test accuracy of an architecture's network trained from scratch.

    A budget is what the search was to meet; an architecture drawn at random needn't.
    """
    path = directory.with_name(f"{directory.name}.json").resolve()
    training_seed = step_seed(seed, "quality", 0) % 2**31
    seeded = replace(config, seed=training_seed, genotype=str(path), budgets=())
    if (directory / SUMMARY).exists():
        require_same(seeded, directory)
    else:
        make_directory(directory.parent)
        files.write_text(path, genotype.to_json())
        with work_in(seeded, directory, "train", resume=True, quiet=quiet) as work:
            train_network(work, genotype)
    return float(documents.read_json(directory / SUMMARY)["test_accuracy"])
