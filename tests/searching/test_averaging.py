"""Averaged weights, in which architectures are compared."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from planted import CONFIG, batch, build
from unas.common.errors import UserError
from unas.compute.runtime import RuntimeConfig
from unas.estimators import draw_hard
from unas.searching.step import SearchStep
from unas.spaces.darts import DartsSpace


def average_of(search: SearchStep) -> list[Tensor]:
    return [weight.detach().clone() for weight in search.judging.supernet.parameters()]


def weights_of(search: SearchStep) -> list[Tensor]:
    return [weight.detach().clone() for weight in search.weights]


def require_equal(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> None:
    for tensor, other in zip(tensors, others, strict=True):
        torch.testing.assert_close(tensor, other)


def test_average_is_the_recursion_over_the_weights_of_each_step() -> None:
    search = build(replace(CONFIG, average=0.9))
    expected = None
    for number in range(6):
        search.warm_up(*batch(number)[:2])
        weights = weights_of(search)
        if expected is None:
            expected = weights
            continue
        kept = min(0.9, (1 + number) / (10 + number))
        pairs = zip(expected, weights, strict=True)
        expected = [kept * old + (1 - kept) * new for old, new in pairs]
    assert expected is not None
    require_equal(average_of(search), expected)


def test_without_an_average_architectures_are_compared_in_the_weights_themselves() -> None:
    search = build()
    assert search.judging.supernet is search.supernet


def test_state_has_the_average_if_there_is_one() -> None:
    assert build().state_dict()["average"] is None
    state = build(replace(CONFIG, average=0.5)).state_dict()["average"]
    assert all(isinstance(tensor, Tensor) for tensor in state.values())


def test_averaging_changes_no_weight_and_no_policy() -> None:
    with_average, without = build(replace(CONFIG, average=0.9)), build()
    for number in range(3):
        figures = [search(*batch(number)) for search in (with_average, without)]
        assert figures[0] == figures[1]


def test_average_goes_on_from_a_state() -> None:
    config = replace(CONFIG, average=0.9)
    search = build(config)
    for number in range(3):
        search(*batch(number))
    file = io.BytesIO()
    torch.save(search.state_dict(), file)
    file.seek(0)
    resumed = build(config)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    figures = [other(*batch(3)) for other in (search, resumed)]
    assert figures[0] == figures[1]
    pairs = zip(average_of(resumed), average_of(search), strict=True)
    assert all(mine.equal(theirs) for mine, theirs in pairs)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"average": 1.0}, "search.average is 1.0; it must be 0 or more, and less than 1"),
        ({"policy_every": 0}, "search.policy_every is 0; it must be 1 or more"),
        ({"weights_on": "relaxed", "balanced": True}, "search.balanced is True"),
        (
            {"weights_on": "hard", "balanced": True, "architectures_per_batch": 1},
            "a batch of one architecture",
        ),
    ],
)
def test_what_means_nothing_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says.replace(".", r"\.")):
        replace(CONFIG, **changes)  # type: ignore[arg-type]


def test_averaged_supernet_of_a_built_in_space_computes_with_the_averaged_weights() -> None:
    space = DartsSpace(channels=4, layers=3, operations=4)
    config = replace(CONFIG, average=0.5, batch_size=4)
    runtime = RuntimeConfig(device="cpu").build()
    search = SearchStep(space, config, 10, 3, runtime)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, 8, 8, generator=generator)
    labels = torch.arange(4)
    for _ in range(3):
        search.warm_up(images, labels)
    fresh = space.supernet(10, 3)
    with torch.no_grad():
        for weight, average in zip(fresh.parameters(), average_of(search), strict=True):
            weight.copy_(average)
    sample = draw_hard(search.policy, 4, generator)
    with torch.no_grad():
        averaged = search.judging.logits(images, sample)
        torch.testing.assert_close(averaged, fresh(images, sample), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(averaged, search.losses.logits(images, sample), atol=1e-3)
