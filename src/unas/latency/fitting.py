"""Fitting a predictor: choose architectures, time their networks in turn, solve, and compare with others."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Layout
from unas.common.errors import UserError
from unas.costs.blocks import Terms, random_genotypes
from unas.latency import backends
from unas.latency.backends import Backend
from unas.latency.design import choose_design
from unas.latency.predictor import Predictor, Quality
from unas.latency.regression import fit_terms
from unas.latency.sizes import NUM_SIZES, sizes_of
from unas.latency.timing import NetworkTimer, Timing
from unas.spaces import NetworkOptions, SearchSpace

Array = npt.NDArray[np.float64]
Timer = Callable[[Sequence[Genotype], np.random.Generator], Timing]

MIN_ARCHITECTURES = 8


def fit_predictor(
    space: SearchSpace,
    network: NetworkOptions,
    input_shape: tuple[int, ...],
    backend: str | Backend = "eager",
    device: str = "cpu",
    *,
    num_classes: int = 10,
    threads: int | None = None,
    architectures: int | None = None,
    held_out: int = 20,
    rounds: int = 5,
    seed: int = 0,
    timer: Timer | None = None,
) -> Predictor:
    """Return a predictor of the latency of a space's networks, fitted to a few of them.

    Args:
        space: the search space.
        network: the size of the networks that are measured, which is that of the one deployed.
        input_shape: (C, H, W) for one image, or (B, C, H, W).
        backend: what runs them.
        device: where.
        num_classes: how many classes they tell apart.
        threads: CPU threads; None for as many as PyTorch has.
        architectures: how many are measured; None for 32 and one for every two groups of terms of
            one cost.
        held_out: how many others the predictor is compared with.
        rounds: how often each network has its turn.
        seed: of the architectures that are drawn and of the order of the turns.
        timer: times them instead of a `NetworkTimer`, for tests and for devices that it can't
            reach.

    Raises:
        UserError: an argument is out of its range, or a network can't be measured.
    """
    chosen = backends.get(backend)() if isinstance(backend, str) else backend
    _check_counts(architectures, held_out, rounds)
    channels = input_shape[-3] if len(input_shape) >= 3 else 3

    def build(genotype: Genotype) -> nn.Module:
        return space.network(genotype, num_classes, channels, **asdict(network))

    clock = NetworkTimer(build, input_shape, chosen, device, threads, rounds)
    fingerprint = clock.fingerprint()
    generator, start = np.random.default_rng(seed), time.perf_counter()
    with torch.random.fork_rng(
        devices=[]
    ):  # networks are initialised at random, which must not change a run
        terms = Terms(space, build)
        first, *rest = (
            sizes_of(build(genotype), fingerprint.input_shape)
            for genotype in terms.representatives()
        )
        sizes = np.array([each - first for each in rest]).reshape(terms.num_groups, NUM_SIZES)
        count = 32 + terms.num_groups // 2 if architectures is None else architectures
        design = choose_design(terms, count, generator)
        others = random_genotypes(space, held_out, generator)
        preparing = time.perf_counter() - start
        timing = (timer or clock)([*design, *others], generator)
    fit = fit_terms(terms.matrix(design), terms.group_matrix(), sizes, timing.milliseconds[:count])
    return Predictor(
        layout=Layout(space.choices, space.name),
        network={**asdict(network), "num_classes": num_classes},
        fingerprint=fingerprint,
        intercept=fit.intercept,
        blocks=terms.blocks,
        weights=tuple(torch.from_numpy(part.copy()) for part in terms.by_block(fit.terms)),
        quality=_quality(
            fit.intercept + terms.matrix(others) @ fit.terms, timing, count, preparing
        ),
    )


def _check_counts(architectures: int | None, held_out: int, rounds: int) -> None:
    """Refuse what is out of its range."""
    given = (
        ("architectures", architectures, MIN_ARCHITECTURES),
        ("held_out", held_out, 0),
        ("rounds", rounds, 1),
    )
    for name, value, least in given:
        if value is not None and value < least:
            raise UserError(f"{name} is {value}; it must be at least {least}")


def _quality(predicted: Array, timing: Timing, count: int, preparing: float) -> Quality:
    measured = timing.milliseconds[count:]
    share = count / len(timing.milliseconds)  # the rest was spent on those held out
    return Quality(
        architectures=count,
        forwards=round(timing.forwards * share),
        measuring_seconds=timing.measuring_seconds * share,
        building_seconds=timing.building_seconds * share + preparing,
        held_out=len(measured),
        mape=100 * float(np.mean(np.abs(predicted - measured) / measured))
        if len(measured)
        else math.nan,
        spearman=spearman(predicted, measured),
    )


def spearman(predicted: Array, measured: Array) -> float:
    """Return the rank correlation, equal values sharing their ranks; NaN for fewer than three or a constant."""
    if len(measured) < 3 or np.ptp(predicted) == 0 or np.ptp(measured) == 0:
        return math.nan
    return float(np.corrcoef(_ranks(predicted), _ranks(measured))[0, 1])


def _ranks(values: Array) -> Array:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)
