"""Noise and time of gradient estimates on a trained supernet, where no exact gradient is known."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from unas.common.errors import UserError
from unas.config import Config
from unas.data import BatchStream
from unas.estimators import Estimator
from unas.pipeline.batches import search_streams
from unas.pipeline.opening import work_in
from unas.pipeline.phases import find_genotype, new_search
from unas.runs.progress import Progress
from unas.searching.config import SearchConfig
from unas.searching.cost import Batches
from unas.searching.gradient import policy_gradients
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
        ratio_low: lower end of the ratio's 95 % interval (bootstrap over calls).
        ratio_high: upper end of the ratio's 95 % interval.
        estimate_ms: median time of one estimate.
        step_ms: median time of one estimate and of the weights' gradient after it, which is a whole
            step but for Adam.
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
    """Search as `config` says, then call estimators in turn on its last supernet and policy.

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
        UserError: `calls` is too few, or the architectures of a batch are, for an estimator.
    """
    if calls < LEAST:
        raise UserError(f"calls is {calls}; it must be {LEAST} or more")
    _require_enough_architectures(config.search, cases)
    search, train, validation = _trained(config, out / "search", quiet=quiet)
    records = {name: _Record(case, search) for name, case in cases.items()}
    with Progress("estimators", calls, out, quiet=quiet) as progress:
        for turn in range(calls):
            step = search.steps + turn
            batches = Batches(*train.batch(step), *validation.batch(step))
            for record in records.values():
                record.take(batches, step)
            progress.update(turn + 1)
    return _rows(records, skipped=calls // 10)


def _require_enough_architectures(search: SearchConfig, cases: Mapping[str, Estimator]) -> None:
    """Refuse an estimator that compares more architectures than a batch has."""
    architectures = search.num_architectures(search.batch_size)
    for name, case in cases.items():
        if case.fewest_samples > architectures:
            raise UserError(
                f"{name} compares {case.fewest_samples} architectures at least, but "
                f"search.architectures_per_batch is {architectures}; give "
                f"--search.architectures-per-batch {case.fewest_samples}, or leave {name} out"
            )


class _Record:
    """What the calls of one estimator gave: gradients [R, D] and seconds."""

    def __init__(self, case: Estimator, search: SearchStep) -> None:
        self.case = case
        self.search = search
        self.estimator = case.start(search.policy.layout)
        self.gradients: list[Tensor] = []
        self.estimate_seconds: list[float] = []
        self.step_seconds: list[float] = []

    def take(self, batches: Batches, step: int) -> None:
        """Call the estimator, and take the weights' gradient as a step of the search does."""
        search = self.search
        with search.runtime.computing(), search.losses.noise(search.seed, step):
            self._take(batches, step)

    def _take(self, batches: Batches, step: int) -> None:
        search = self.search
        start = self._now()
        cost = search.cost(batches, self.case)
        gradients = policy_gradients(
            search.policy,
            cost,
            self.estimator,
            search.policy_terms,
            ranks=search.ranks,
            seed=search.seed,
            step=step,
        )
        self.estimate_seconds.append(self._now() - start)
        loss = search.weight_loss(cost, step)
        torch.autograd.grad(loss, search.weights, materialize_grads=True)
        self.step_seconds.append(self._now() - start)
        self.gradients.append(torch.cat([gradient.double().to("cpu") for gradient in gradients]))

    def skip(self, calls: int) -> None:
        """Forget the first few calls."""
        del self.gradients[:calls], self.estimate_seconds[:calls], self.step_seconds[:calls]

    def stacked(self) -> Tensor:
        """Return all gradients, [R, D]."""
        return torch.stack(self.gradients)

    def _now(self) -> float:
        self.search.runtime.synchronise()
        return time.perf_counter()


def _trained(
    config: Config, directory: Path, *, quiet: bool
) -> tuple[SearchStep, BatchStream, BatchStream]:
    with work_in(config, directory, "search", resume=True, quiet=quiet) as work:
        find_genotype(work)
    with work_in(config, directory, "search", resume=True, quiet=True) as work:
        train, validation = search_streams(config, work.data)
        search = new_search(work, train.steps_per_epoch)
        checkpoint = work.session.run.checkpoint
        if checkpoint is not None:  # a search of no steps saves none
            search.load_state_dict(checkpoint.state["search"])
        return search, train, validation


def _rows(records: Mapping[str, _Record], skipped: int) -> list[SupernetRow]:
    """Return the figures of all calls but the first few."""
    for record in records.values():
        record.skip(skipped)
    reference = next(iter(records.values()))
    shares = _resampling(len(reference.gradients))
    rows = []
    for name, record in records.items():
        estimates = record.stacked()
        ratio, low, high = _ratio(estimates, reference.stacked(), shares)
        turns = zip(record.step_seconds, reference.step_seconds, strict=True)
        step_ratio = statistics.median(seconds / its_seconds for seconds, its_seconds in turns)
        row = SupernetRow(
            estimator=name,
            is_unbiased=record.case.is_unbiased,
            variance=float(estimates.var(0).sum()),
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
    """Return the variance of estimates [R, D] over that of others, with its 95 % interval.

    The interval is that over resamples of calls.
    """
    resampled = _variances(own, shares) / _variances(reference, shares)
    low, high = resampled.quantile(torch.tensor((0.025, 0.975), dtype=torch.float64)).tolist()
    return float(own.var(0).sum() / reference.var(0).sum()), low, high


def _variances(estimates: Tensor, shares: Tensor) -> Tensor:
    """Return the trace of the covariance of estimates [R, D] under each row of weights [S, R]."""
    return shares @ estimates.square().sum(1) - (shares @ estimates).square().sum(1)
