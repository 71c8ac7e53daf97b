"""How choices execute, against einsum, finite differences and masking."""

from collections.abc import Callable, Sequence

import pytest
import torch

from unas.nn.mixed import (
    flatten,
    mix,
    picked_pieces,
    pieces_by_architecture,
    routed_sum,
    routes,
    spread,
    take,
    unflatten,
    weighted_sum,
)

SHAPES = [(3,), (4, 3), (2, 3, 5), (2, 2, 2, 2)]  # features, tokens, images, clips


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(
        *shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_flatten_is_undone_by_unflatten_and_keeps_rows(shape: tuple[int, ...]) -> None:
    x = normal(6, *shape)
    assert torch.equal(unflatten(flatten(x), x.shape[1:]), x)
    assert torch.equal(take(x, torch.tensor([4, 0, 4])), x[[4, 0, 4]])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("is_channels_last", [False, True])
def test_weighted_sum_equals_einsum_in_value_and_gradient(
    shape: tuple[int, ...], is_channels_last: bool
) -> None:
    weights, stacked = normal(6, 4).requires_grad_(), normal(4, 6, *shape).requires_grad_()
    outcomes = list(stacked)
    if is_channels_last and len(shape) == 3:
        outcomes = [x.contiguous(memory_format=torch.channels_last) for x in outcomes]
    direction = normal(6, *shape)
    expected = torch.einsum("be,eb...->b...", weights, stacked)
    found = weighted_sum(weights, outcomes)
    torch.testing.assert_close(found, expected)
    for ours, theirs in zip(
        torch.autograd.grad((found * direction).sum(), [weights, stacked]),
        torch.autograd.grad((expected * direction).sum(), [weights, stacked]),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("shape", SHAPES)
def test_weighted_sum_passes_finite_differences(shape: tuple[int, ...]) -> None:
    outcomes = [normal(2, *shape).add(e).requires_grad_() for e in range(3)]
    assert torch.autograd.gradcheck(
        lambda w, *xs: weighted_sum(w, xs), (normal(2, 3).requires_grad_(), *outcomes)
    )


def test_weighted_sum_of_constants_or_under_constant_weights_has_the_other_gradient() -> None:
    weights, outcomes = normal(2, 3), [normal(2, 4) + e for e in range(3)]
    assert torch.autograd.gradcheck(
        lambda w: weighted_sum(w, outcomes), weights.clone().requires_grad_()
    )
    leaves = [outcome.clone().requires_grad_() for outcome in outcomes]
    assert torch.autograd.gradcheck(lambda *xs: weighted_sum(weights, xs), leaves)


def test_spread_gives_each_architecture_its_run_of_images() -> None:
    assert spread(torch.tensor([[1.0], [2.0]]), 6).flatten().tolist() == [1, 1, 1, 2, 2, 2]
    with pytest.raises(ValueError, match="4 architectures do not divide a batch of 6 images"):
        spread(torch.zeros(4, 1), 6)


def test_routes_lists_the_images_of_each_picked_candidate() -> None:
    picks = [[2, 0], [2, 2], [1, 2]]  # the second architecture picks one candidate twice
    assert routes(picks, 6) == {0: [0, 1], 1: [4, 5], 2: None}
    assert routes([[1], [0], [1]], 3) == {0: [1], 1: [0, 2]}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("picks", [[[0], [2], [2]], [[0, 1], [1, 1], [3, 1]], [[1, 1]]])
def test_routed_sum_equals_computing_everything_and_masking(
    shape: tuple[int, ...], picks: list[list[int]]
) -> None:
    batch = 6
    share, x = batch // len(picks), normal(batch, *shape)
    factors = torch.tensor([2.0, -3.0, 0.5, 7.0], dtype=torch.float64).requires_grad_()
    counts = torch.zeros(batch, 4, dtype=torch.float64)
    for b in range(batch):
        for e in picks[b // share]:
            counts[b, e] += 1
    weights, seen = counts.clone().requires_grad_(), {}

    def candidate(e: int) -> Callable[[torch.Tensor | None], torch.Tensor]:
        def run(rows: torch.Tensor | None) -> torch.Tensor:
            seen[e] = batch if rows is None else len(rows)
            return factors[e] * (x if rows is None else x[rows]).square()

        return run

    found = mix(weights, [candidate(e) for e in range(4)], routes(picks, batch))
    leaf = counts.clone().requires_grad_()
    expected = torch.einsum("be,e,b...->b...", leaf, factors, x.square())
    torch.testing.assert_close(found, expected)
    assert seen == {e: int((counts[:, e] > 0).sum()) for e in range(4) if counts[:, e].any()}
    direction = normal(batch, *shape)
    ours = torch.autograd.grad((found * direction).sum(), [factors, weights])
    theirs = torch.autograd.grad((expected * direction).sum(), [factors, leaf])
    torch.testing.assert_close(ours[0], theirs[0])
    torch.testing.assert_close(ours[1], theirs[1] * (counts > 0))  # what isn't run has no gradient


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("picks", [[0, 2, 2], [2, 1, 0, 2, 1, 0], [1]])
def test_picked_pieces_equal_computing_everything_and_masking(
    shape: tuple[int, ...], picks: list[int]
) -> None:
    x = normal(6, *shape).requires_grad_()
    factors = torch.tensor([2.0, -3.0, 0.5], dtype=torch.float64).requires_grad_()
    pieces = pieces_by_architecture(x, len(picks))
    asked: dict[int, list[int]] = {}

    def pieces_of(option: int, architectures: Sequence[int]) -> list[torch.Tensor]:
        asked[option] = list(architectures)
        return [factors[option] * pieces[g].square() for g in architectures]

    found = picked_pieces(picks, pieces_of)
    factor_of = factors[picks].repeat_interleave(6 // len(picks))
    expected = torch.einsum("b,b...->b...", factor_of, x.square())
    torch.testing.assert_close(found, expected)
    assert asked == {o: [g for g, pick in enumerate(picks) if pick == o] for o in set(picks)}
    direction = normal(6, *shape)
    ours = torch.autograd.grad((found * direction).sum(), [x, factors])
    theirs = torch.autograd.grad((expected * direction).sum(), [x, factors])
    torch.testing.assert_close(ours, theirs)


def test_pieces_are_those_of_architectures_that_divide_the_batch() -> None:
    pieces = pieces_by_architecture(torch.arange(6), 3)
    assert [piece.tolist() for piece in pieces] == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ValueError, match="4 architectures do not divide a batch of 6 images"):
        pieces_by_architecture(torch.arange(6), 4)


def test_images_stay_channels_last_both_ways() -> None:
    x = normal(4, 3, 5, 5).contiguous(memory_format=torch.channels_last)
    weights = torch.ones(4, 2, dtype=torch.float64)
    dense = weighted_sum(weights, [x, x])
    routed = routed_sum(
        weights, [lambda r: x if r is None else take(x, r)] * 2, {0: None, 1: [0, 3]}
    )
    pieces = x.split(2)
    picked = picked_pieces([1, 0], lambda _, numbers: [pieces[g] for g in numbers])
    assert all(y.is_contiguous(memory_format=torch.channels_last) for y in (dense, routed, picked))
