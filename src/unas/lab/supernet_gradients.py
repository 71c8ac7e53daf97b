"""How noisy and how dear gradient estimates are on a trained supernet, where no exact gradient is known."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from unas.common.errors import UserError
from unas.config import Config
from unas.data import BatchStream
from unas.estimators import Estimator
from unas.pipeline.opening import work_in
from unas.pipeline.phases import find_genotype, new_search, search_streams
from unas.runs.progress import Progress
from unas.searching.cost import SupernetCost
from unas.searching.step import SearchStep

LEAST = 20  # calls of an estimator
RESAMPLES = 2000


@dataclass(frozen=True)
class SupernetRow:
    """How one estimator did on one supernet.

    Args:
        estimator: its name.
        is_unbiased: whether it says so.
        variance: trace of the covariance of one call's gradient, over batches and noise.
        ratio: that variance over the first estimator's.
        ratio_low: lower end of its 95 % interval (bootstrap over calls).
        ratio_high: its upper end.
        estimate_ms: time of one estimate, median.
        step_ms: time of one estimate and of the weights' gradient after it, median: a whole step
            but for Adam.
        step_ratio: median over calls of that step's time over the first estimator's in the same
            turn.
        at_equal_time: ratio · step_ratio: the variance of what the first estimator's time pays for,
            over its own.
    """

    estimator: str
    is_unbiased: bool
    variance: float
    ratio: float
    ratio_low: float
    ratio_high: float
    estimate_ms: float
    step_ms: float
    step_ratio: float
    at_equal_time: float


def supernet_gradients(
    config: Config,
    cases: Mapping[str, Estimator],
    out: Path,
    *,
    calls: int = 300,
    quiet: bool = False,
) -> list[SupernetRow]:
    """Search as `config` says, then call estimators in turn on the supernet and the policy that it ends with.

    Every call has a batch and noise of its own; in one turn all estimators have the same batch.
    Nothing is updated but what an estimator remembers, so the first tenth of the calls, in which it
    learns, is left out.

    Args:
        config: the recipe, whose search trains the supernet.
        cases: the estimators by name; the first is what the others are compared with.
        out: the directory for the search's own; a finished search that is there is used again.
        calls: R, how many calls of each.
        quiet: show no progress.

    Raises:
        UserError: `calls` is too few.
    """
    if calls < LEAST:
        raise UserError(f"calls is {calls}; it must be {LEAST} or more")
    search, train, validation = _trained(config, out / "search", quiet=quiet)
    found = {name: _Record() for name in cases}
    running = {name: case.start(search.policy.layout) for name, case in cases.items()}
    first = search.steps
    with Progress("estimators", calls, out, quiet=quiet) as progress:
        for turn in range(calls):
            search.steps = first + turn  # which is what noise is counted by
            batch = (*train.batch(search.steps), *validation.batch(search.steps))
            for name, estimator in running.items():
                search.estimator = estimator
                found[name].take(search, batch)
            progress.update(turn + 1)
    return _rows(cases, found, skipped=calls // 10)


class _Record:
    """What the calls of one estimator gave: gradients [R, D] and seconds."""

    def __init__(self) -> None:
        self.gradients: list[Tensor] = []
        self.estimate_seconds: list[float] = []
        self.step_seconds: list[float] = []

    def take(self, search: SearchStep, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
        """Call the search's estimator, and take the weights' gradient as a step does."""
        start = _now(search)
        cost = SupernetCost(search, batch)
        gradients = search.policy_gradients(cost)
        self.estimate_seconds.append(_now(search) - start)
        torch.autograd.grad(search.weight_loss(cost), search.weights, materialize_grads=True)
        self.step_seconds.append(_now(search) - start)
        self.gradients.append(torch.cat([gradient.double().to("cpu") for gradient in gradients]))

    def after(self, skipped: int) -> _Record:
        """Return what came after the first few calls."""
        rest = _Record()
        rest.gradients = self.gradients[skipped:]
        rest.estimate_seconds = self.estimate_seconds[skipped:]
        rest.step_seconds = self.step_seconds[skipped:]
        return rest

    @cached_property
    def stacked(self) -> Tensor:
        """All gradients, [R, D]."""
        return torch.stack(self.gradients)


def _now(search: SearchStep) -> float:
    if search.runtime.device.type == "cuda":
        torch.cuda.synchronize(search.runtime.device)
    return time.perf_counter()


def _trained(
    config: Config, directory: Path, *, quiet: bool
) -> tuple[SearchStep, BatchStream, BatchStream]:
    with work_in(config, directory, "search", resume=True, quiet=quiet) as work:
        find_genotype(work)
    with work_in(config, directory, "search", resume=True, quiet=True) as work:
        train, validation = search_streams(config, work.data)
        search = new_search(work, train.steps_per_epoch)
        assert work.session.run.checkpoint is not None  # noqa: S101  a search ends with one
        search.load_state_dict(work.session.run.checkpoint.state["search"])
        return search, train, validation


def _rows(
    cases: Mapping[str, Estimator], found: Mapping[str, _Record], skipped: int
) -> list[SupernetRow]:
    """Return the figures of all calls but the first few."""
    kept = {name: record.after(skipped) for name, record in found.items()}
    reference = next(iter(kept.values()))
    shares = _resampling(len(reference.gradients))
    rows = []
    for name, record in kept.items():
        ratio, low, high = _ratio(record.stacked, reference.stacked, shares)
        turns = zip(record.step_seconds, reference.step_seconds, strict=True)
        step_ratio = statistics.median(own / its for own, its in turns)
        row = SupernetRow(
            estimator=name,
            is_unbiased=cases[name].is_unbiased,
            variance=float(record.stacked.var(0).sum()),
            ratio=ratio,
            ratio_low=low,
            ratio_high=high,
            estimate_ms=1e3 * statistics.median(record.estimate_seconds),
            step_ms=1e3 * statistics.median(record.step_seconds),
            step_ratio=step_ratio,
            at_equal_time=ratio * step_ratio,
        )
        rows.append(row)
    return rows


def _resampling(calls: int) -> Tensor:
    """Return how much each of R calls weighs in each resample with replacement, [RESAMPLES, R]."""
    rows = torch.randint(calls, (RESAMPLES, calls), generator=torch.Generator().manual_seed(0))
    counts = torch.zeros(RESAMPLES, calls, dtype=torch.float64).scatter_add_(
        1, rows, torch.ones_like(rows).double()
    )
    return counts / calls


def _ratio(own: Tensor, reference: Tensor, shares: Tensor) -> tuple[float, float, float]:
    """Return the variance of estimates [R, D] over that of others, with its 95 % interval over resamples of calls."""
    resampled = _variances(own, shares) / _variances(reference, shares)
    low, high = resampled.quantile(torch.tensor((0.025, 0.975), dtype=torch.float64)).tolist()
    return float(own.var(0).sum() / reference.var(0).sum()), low, high


def _variances(estimates: Tensor, shares: Tensor) -> Tensor:
    """Return the trace of the covariance of estimates [R, D] under each row of weights [S, R]."""
    return shares @ estimates.square().sum(1) - (shares @ estimates).square().sum(1)
