"""Fitting a predictor: choose architectures, time them in turn, solve, compare with others."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Layout
from unas.common.errors import UserError
from unas.costs.blocks import Terms, random_genotypes
from unas.costs.table import CostTable
from unas.latency.backends import Backend
from unas.latency.design import choose_design
from unas.latency.measurement import as_backend, batch_shape
from unas.latency.predictor import Predictor, Quality
from unas.latency.regression import fit_terms
from unas.latency.sizes import NUM_SIZES, sizes_of
from unas.latency.timing import NetworkTimer, Timing
from unas.spaces import Blueprint, NetworkOptions, SearchSpace

Array = npt.NDArray[np.float64]
Timer = Callable[[Sequence[Genotype], np.random.Generator], Timing]

MIN_ARCHITECTURES = 8


@dataclass(frozen=True)
class FitPlan:
    """How much is measured for a predictor.

    Args:
        architectures: how many architectures it is fitted to; None for 32, and one for every two
            groups of terms that should cost the same.
        held_out: how many others it is compared with.
        rounds: how often each network has its turn.
        seed: of the architectures that are drawn, and of the order of the turns.

    Raises:
        UserError: a field is out of its range.
    """

    architectures: int | None = None
    held_out: int = 20
    rounds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("architectures", MIN_ARCHITECTURES), ("held_out", 0), ("rounds", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"{name} is {value}; it must be at least {least}")


def fit_predictor(
    space: SearchSpace,
    network: NetworkOptions,
    input_shape: tuple[int, ...],
    backend: str | Backend = "eager",
    device: str = "cpu",
    *,
    num_classes: int = 10,
    threads: int | None = None,
    timer: Timer | None = None,
    **plan: int | None,
) -> Predictor:
    """Return a predictor of the latency of a space's networks, fitted to a few of them.

    Args:
        space: the search space.
        network: the size of the networks that are measured, which is that of the one deployed.
        input_shape: (C, H, W) for one image, or (B, C, H, W).
        backend: what runs the networks.
        device: where the networks run.
        num_classes: how many classes they tell apart.
        threads: CPU threads; None for as many as PyTorch has.
        timer: times them instead of a `NetworkTimer`, for tests and devices that it can't reach.
        plan: how much is measured, by the names of `FitPlan`'s fields.

    Raises:
        UserError: an argument is out of its range, or a network can't be measured.
    """
    _, channels, height, width = batch_shape(input_shape)
    blueprint = Blueprint(space, network, num_classes, (channels, height, width))
    chosen = FitPlan(**plan)  # type: ignore[arg-type]
    runner = as_backend(backend)
    clock = NetworkTimer(
        blueprint.network, input_shape, runner, device, threads, rounds=chosen.rounds
    )
    return _fit(blueprint, clock, timer or clock, chosen)


def _fit(blueprint: Blueprint, clock: NetworkTimer, timer: Timer, plan: FitPlan) -> Predictor:
    """Choose architectures, time them and others, and learn what each term costs.

    Args:
        blueprint: how an architecture becomes a network.
        clock: says what the times are valid for.
        timer: times the networks.
        plan: how much is measured.
    """
    space = blueprint.space
    fingerprint = clock.fingerprint()
    generator = np.random.default_rng(plan.seed)
    start = time.perf_counter()
    # Networks are initialised at random, which must not change the run that they are fitted for.
    with torch.random.fork_rng(devices=[]):
        terms = Terms(space, blueprint.network)
        group_sizes = _group_sizes(terms, blueprint.network, fingerprint.input_shape)
        count = plan.architectures or 32 + terms.num_groups // 2
        design = choose_design(terms, count, generator)
        others = random_genotypes(space, plan.held_out, generator)
        preparing_seconds = time.perf_counter() - start
        timing = timer([*design, *others], generator)
    measured = timing.milliseconds[:count]
    fit = fit_terms(terms.matrix(design), terms.group_matrix(), group_sizes, measured)
    predicted = fit.intercept + terms.matrix(others) @ fit.terms
    return Predictor(
        table=CostTable(
            Layout(space.choices, space.registry_name),
            fit.intercept,
            terms.blocks,
            tuple(torch.from_numpy(part.copy()) for part in terms.by_block(fit.terms)),
        ),
        network=blueprint.size(),
        fingerprint=fingerprint,
        quality=_quality(predicted, timing, count, preparing_seconds),
    )


def _group_sizes(
    terms: Terms, build: Callable[[Genotype], nn.Module], image_shape: tuple[int, int, int]
) -> Array:
    """Return how much a term of each group adds to a network's sizes, [groups, kinds]."""
    base, *changed = terms.representatives()
    base_sizes = sizes_of(build(base), image_shape)
    added = [sizes_of(build(genotype), image_shape) - base_sizes for genotype in changed]
    return np.array(added).reshape(terms.num_groups, NUM_SIZES)


def _quality(predicted: Array, timing: Timing, count: int, preparing_seconds: float) -> Quality:
    """Compare predictions with the networks that were timed after the first `count`."""
    measured = timing.milliseconds[count:]
    mape = math.nan
    if len(measured):
        mape = 100 * float(np.mean(np.abs(predicted - measured) / measured))
    # What was spent on the networks held out was not spent on the predictor.
    share = count / len(timing.milliseconds)
    return Quality(
        architectures=count,
        forwards=round(timing.forwards * share),
        measuring_seconds=timing.measuring_seconds * share,
        building_seconds=timing.building_seconds * share + preparing_seconds,
        held_out=len(measured),
        mape=mape,
        spearman=spearman(predicted, measured),
    )


def spearman(predicted: Array, measured: Array) -> float:
    """Return the rank correlation, where equal values share their ranks.

    It is NaN for fewer than three values, and where one side is constant.
    """
    if len(measured) < 3 or np.ptp(predicted) == 0 or np.ptp(measured) == 0:
        return math.nan
    return float(np.corrcoef(_ranks(predicted), _ranks(measured))[0, 1])


def _ranks(values: Array) -> Array:
    """Return the rank of each value, from 1; equal values have the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2)[inverse], dtype=np.float64)
