"""One search step against the plain one, and how often it runs the supernet."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from plain_search_step import PlainSearchStep
from unas.architecture.policy import Sample
from unas.compute.runtime import RuntimeConfig
from unas.estimators import Estimator, draw_hard
from unas.estimators.gumbel_softmax import GumbelSoftmax
from unas.estimators.rebar import Rebar
from unas.estimators.reinforce import Reinforce
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.objectives.cross_entropy import CrossEntropy
from unas.searching.config import AdamConfig, SampleKind, SearchConfig
from unas.searching.cost import Batches
from unas.searching.step import SearchStep
from unas.searching.watching import watched
from unas.spaces.darts import DartsSpace

B = 6
SPACE = DartsSpace(channels=2, layers=3, operations=3)
CONFIG = SearchConfig(
    architectures_per_batch=3,
    batch_size=B,
    estimator=Rebar(),
    weights=AdamConfig(lr=1e-2, final_lr=1e-3, weight_decay=1e-2),
    policy=AdamConfig(lr=5e-2, final_lr=1e-2, weight_decay=1e-2),
    clip_norm=0.5,  # small enough that it clips
)


def batch(seed: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, x_val = torch.randn(2, B, 1, 8, 8, generator=generator, dtype=dtype)
    y, y_val = torch.randint(10, (2, B), generator=generator)
    return x, y, x_val, y_val


def build(config: SearchConfig, space: DartsSpace = SPACE) -> SearchStep:
    """Return a step in double precision, from logits that are not all equal."""
    search = SearchStep(space, config, 10, 1, RuntimeConfig(device="cpu").build(), seed=3)
    search.supernet.double()
    search.policy.double()
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for logits in search.policy.logits.values():
            logits.copy_(torch.randn(logits.shape, generator=generator, dtype=torch.float64))
    return search


def check_three_steps(config: SearchConfig, space: DartsSpace = SPACE) -> None:
    search = build(config, space)
    plain = PlainSearchStep(search)
    start = [
        p.detach().clone() for p in (*search.policy.parameters(), *search.supernet.parameters())
    ]
    for number in range(3):
        search(*batch(number))
        plain(*batch(number), reinforce=isinstance(config.estimator, Reinforce))
        figures = watched(search)
        norms = (figures["policy_gradient_norm"], figures["weights_gradient_norm"])
        assert norms == pytest.approx(plain.norms, rel=1e-6)
    for name, logits in search.policy.logits.items():
        torch.testing.assert_close(
            logits,
            plain.logits[name],
            rtol=1e-6,
            atol=1e-9,
            msg=partial("{}: {}".format, name),
        )
    for found, expected in zip(search.weights, plain.weights, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    moved = (*search.policy.parameters(), *search.supernet.parameters())
    assert all((before != after).any() for before, after in zip(start, moved, strict=True))


@pytest.mark.parametrize("num_architectures", [1, 2, B, 0])
def test_equals_the_plain_step(num_architectures: int) -> None:
    check_three_steps(replace(CONFIG, architectures_per_batch=num_architectures))


@pytest.mark.parametrize("weights_on", ["relaxed", "hard"])
@pytest.mark.parametrize("estimator", [Rebar(), Reinforce()])
@pytest.mark.parametrize("softening", [0.0, 0.08])
def test_equals_the_plain_step_with_options(
    weights_on: Any, estimator: Estimator, softening: float
) -> None:
    check_three_steps(
        replace(CONFIG, weights_on=weights_on, estimator=estimator, softening=softening)
    )


def test_equals_the_plain_step_with_routed_batch_norm() -> None:
    check_three_steps(CONFIG, replace(SPACE, bn="routed"))


HARD_TRAIN, HARD_VALIDATION = (True, "train"), (True, "validation")
RELAXED_TRAIN, RELAXED_VALIDATION = (False, "train"), (False, "validation")


@pytest.mark.parametrize(
    ("estimator", "weights_on", "expected"),
    [
        (Rebar(), "relaxed", [HARD_TRAIN, HARD_VALIDATION, RELAXED_TRAIN, RELAXED_VALIDATION]),
        (Rebar(), "hard", [HARD_TRAIN, HARD_VALIDATION, RELAXED_TRAIN, RELAXED_VALIDATION]),
        (GumbelSoftmax(), "relaxed", [RELAXED_TRAIN, RELAXED_VALIDATION]),
        (GumbelSoftmax(), "hard", [RELAXED_TRAIN, RELAXED_VALIDATION, HARD_TRAIN]),
        (Reinforce(), "relaxed", [HARD_TRAIN, HARD_VALIDATION, RELAXED_TRAIN]),
        (Reinforce(), "hard", [HARD_TRAIN, HARD_VALIDATION]),
    ],
)
def test_runs_the_supernet_no_more_than_it_must(
    estimator: Estimator, weights_on: Any, expected: list[tuple[bool, str]]
) -> None:
    search = build(replace(CONFIG, estimator=estimator, weights_on=weights_on))
    x, y, x_val, y_val = batch(0)
    calls = []

    def note(_: object, arguments: tuple[Tensor, object]) -> None:
        images, sample = arguments
        calls.append((sample.is_hard, "train" if images is x else "validation"))  # type: ignore[attr-defined]

    search.supernet.register_forward_pre_hook(note)
    search(x, y, x_val, y_val)
    assert sorted(calls) == sorted(expected)


def mean_cost(
    search: SearchStep, sample: Sample, images: tuple[Tensor, Tensor, Tensor, Tensor]
) -> Tensor:
    """Return cross-entropy + 0.5·gap + 0.2·overlap of each architecture, from the supernet's
    logits.
    """
    x, y, x_val, y_val = images
    train, val = (
        F.cross_entropy(search.supernet(i, sample), t, reduction="none")
        for i, t in ((x, y), (x_val, y_val))
    )
    overlap = sum(
        (
            sample[i0][:, :, None]
            * sample[o0][:, None, :]
            * sample[i1][:, :, None]
            * sample[o1][:, None, :]
        ).sum((1, 2))
        for (i0, o0), (i1, o1) in search.space.slot_pairs()
    )
    return (train + 0.5 * (val - train).abs()).view(len(sample), -1).mean(1) + 0.2 * overlap


@pytest.mark.parametrize(
    ("weights_on", "copies_at_once", "parts"),
    [
        ("relaxed", 100, [4]),
        ("hard", 100, [1, 3]),  # the copy that trains the weights has a forward of its own
        ("relaxed", 3, [3, 1]),
        ("hard", 2, [1, 2, 1]),
        ("relaxed", 0.5, [1, 1, 1, 1]),  # a copy of the batch is never divided
    ],
)
@torch.no_grad()
def test_more_architectures_than_a_batch_holds_see_copies_of_it(
    weights_on: Any, copies_at_once: float, parts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = B * 8 * 8
    monkeypatch.setattr("unas.searching.cost.PIXELS_AT_ONCE", int(copies_at_once * pixels))
    search = build(replace(CONFIG, estimator=ReinforceLeaveOneOut(draws=4), weights_on=weights_on))
    sample = draw_hard(search.policy, 4 * 3, torch.Generator().manual_seed(1))
    cost = search.cost(Batches(*batch(0)), search.config.estimator)
    found = cost(sample)
    samples = sample.split([3 * copies for copies in parts])
    expected = [
        mean_cost(search, part, tuple(torch.cat([tensor] * copies) for tensor in batch(0)))  # type: ignore[arg-type]
        for part, copies in zip(samples, parts, strict=True)
    ]
    torch.testing.assert_close(found, torch.cat(expected))
    assert (cost.train_losses is None) == (weights_on == "relaxed")
    if cost.train_losses is not None:
        assert cost.train_losses.requires_grad
        assert len(cost.train_losses) == B


@torch.no_grad()
def test_an_architecture_with_a_batch_of_its_own_has_a_forward_of_its_own() -> None:
    """BatchNorm's statistics are of its images alone, as where weights learn and choices fall."""
    estimator = ReinforceLeaveOneOut(draws=4)
    config = replace(CONFIG, architectures_per_batch=1, estimator=estimator, weights_on="hard")
    search = build(config)
    sample = draw_hard(search.policy, 4, torch.Generator().manual_seed(1))
    expected = [mean_cost(search, part, batch(0)) for part in sample.split([1] * 4)]
    found = search.cost(Batches(*batch(0)), estimator)(sample)
    torch.testing.assert_close(found, torch.cat(expected))


@pytest.mark.parametrize("weights_on", ["relaxed", "hard"])
def test_logged_terms_are_the_mean_over_all_drawn_architectures(weights_on: SampleKind) -> None:
    search = build(replace(CONFIG, estimator=ReinforceLeaveOneOut(draws=4), weights_on=weights_on))
    x, y, x_val, y_val = batch(0)
    drawn: list[Tensor] = []

    def note(_: object, arguments: tuple[Tensor, Sample], logits: Tensor) -> None:
        images, sample = arguments
        if sample.is_hard and images[:B].equal(x):
            drawn.append(logits.detach())

    search.supernet.register_forward_hook(note)
    figures = search(x, y, x_val, y_val)
    assert len(drawn) == (2 if weights_on == "hard" else 1)
    logits, labels = torch.cat(drawn), y.repeat(4)
    assert figures["cross_entropy"] == pytest.approx(float(F.cross_entropy(logits, labels)))


@pytest.mark.parametrize("weights_on", ["relaxed", "hard"])
def test_warm_up_runs_what_the_weights_are_trained_on(weights_on: Any) -> None:
    search = build(replace(CONFIG, weights_on=weights_on))
    kinds = []
    search.supernet.register_forward_pre_hook(
        lambda _, arguments: kinds.append(arguments[1].is_hard)
    )
    search.warm_up(*batch(0)[:2])
    assert kinds == [weights_on == "hard"]


def test_no_validation_forward_where_no_term_needs_it() -> None:
    search = build(replace(CONFIG, objectives={"cross_entropy": CrossEntropy()}))
    seen = []
    search.supernet.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    x, y, x_val, y_val = batch(0)
    search(x, y, x_val, y_val)
    assert len(seen) == 2
    assert all(images is x for images in seen)
