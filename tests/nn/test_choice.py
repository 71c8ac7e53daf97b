"""The choices as modules: what they compute, on whatever tensors, and whose sample they take."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from unas.architecture.policy import Layout, Sample
from unas.common.errors import UserError
from unas.nn.choice import InputChoice, OpChoice, sample_scope


def layout(**choices: tuple[str, ...]) -> Layout:
    return Layout(choices, "module")


def hard(where: Layout, **picks: list[int]) -> Sample:
    """Return the hard sample with these option indices, a list for each choice."""
    weights = {
        n: nn.functional.one_hot(torch.tensor(p), len(where.choices[n])).float()
        for n, p in picks.items()
    }
    return Sample(where, where.stack(weights), is_hard=True)


def relaxed(where: Layout, num_samples: int, seed: int = 0) -> Sample:
    generator = torch.Generator().manual_seed(seed)
    weights = {
        n: torch.rand(num_samples, len(o), generator=generator).softmax(-1)
        for n, o in where.choices.items()
    }
    return Sample(where, where.stack(weights), is_hard=False)


class Scale(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.rows: list[list[float]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.rows.append(x[:, ..., 0].flatten().tolist())
        return x * self.factor


OP = layout(op=("one", "ten", "hundred"))
OPTIONS = {"one": 1.0, "ten": 10.0, "hundred": 100.0}


def op_choice(**how: Any) -> OpChoice:
    return OpChoice({option: Scale(factor) for option, factor in OPTIONS.items()}, name="op", **how)


@pytest.mark.parametrize("shape", [(3,), (5, 3), (3, 4, 4), (2, 3, 4, 4)])
@pytest.mark.parametrize("num_samples", [1, 2, 6])
def test_relaxed_sample_weighs_all_outcomes(shape: tuple[int, ...], num_samples: int) -> None:
    x, sample = torch.randn(6, *shape), relaxed(OP, num_samples)
    for b, found in enumerate(op_choice()(x, sample)):
        weights = sample["op"][b * num_samples // 6]
        torch.testing.assert_close(found, x[b] * float(weights @ torch.tensor([1.0, 10.0, 100.0])))


def test_hard_sample_runs_only_the_picked_images_of_each_operation() -> None:
    choice, x = op_choice(), torch.arange(6.0)[:, None]
    found = choice(x, hard(OP, op=[2, 0, 2]))
    assert found.flatten().tolist() == [0, 100, 2, 3, 400, 500]
    assert [candidate.rows for candidate in choice.candidates] == [[[2, 3]], [], [[0, 1, 4, 5]]]


def test_input_choice_picks_and_weighs_inputs() -> None:
    where = layout(input=("0", "1"))
    inputs = [torch.randn(4, 3), torch.randn(4, 3)]
    choice = InputChoice(2, name="input")
    assert choice.options == ("0", "1")
    assert torch.equal(
        choice(inputs, hard(where, input=[1, 0])), torch.cat([inputs[1][:2], inputs[0][2:]])
    )
    sample = relaxed(where, 1)
    expected = torch.einsum("k,kbn->bn", sample["input"][0], torch.stack(inputs))
    torch.testing.assert_close(choice(inputs, sample), expected)


@pytest.mark.parametrize("bn", ["batch", "routed"])
def test_batch_norm_of_a_hard_sample_sees_the_batch_or_what_is_routed(bn: Any) -> None:
    where, x = layout(op=("bn", "skip")), torch.randn(6, 3)
    choice = OpChoice(
        {"bn": nn.BatchNorm1d(3, track_running_stats=False), "skip": nn.Identity()},
        name="op",
        bn=bn,
    )
    found = choice(x, hard(where, op=[0, 1, 0]))
    seen = x if bn == "batch" else x[[0, 1, 4, 5]]
    normal = (x - seen.mean(0)) / (seen.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(found, torch.cat([normal[:2], x[2:4], normal[4:]]))


@pytest.mark.parametrize("is_hard", [True, False])
@pytest.mark.parametrize("bn", [False, True])
def test_choice_inside_an_option_follows_its_own_architecture(is_hard: bool, bn: bool) -> None:
    where = layout(outer=("skip", "block"), inner=("one", "ten", "hundred"))
    inner = OpChoice({option: Scale(factor) for option, factor in OPTIONS.items()}, name="inner")
    block = nn.Sequential(inner, nn.BatchNorm1d(1).eval()) if bn else nn.Sequential(inner)
    outer = OpChoice({"skip": nn.Identity(), "block": block}, name="outer")
    x = torch.arange(1.0, 9.0)[:, None]
    sample = hard(where, outer=[1, 0, 1, 1], inner=[2, 1, 0, 1]) if is_hard else relaxed(where, 4)
    weights = {name: sample[name].repeat_interleave(2, 0) for name in where.choices}
    block_outcome = x[:, 0] * (weights["inner"] @ torch.tensor([1.0, 10.0, 100.0]))
    expected = weights["outer"][:, 0] * x[:, 0] + weights["outer"][:, 1] * block_outcome
    torch.testing.assert_close(
        outer(x, sample)[:, 0], expected, rtol=1e-4, atol=1e-4
    )  # BatchNorm's epsilon is 1e-5
    if is_hard and not bn:
        assert [scale.rows for scale in inner.candidates] == [[[5, 6]], [[7, 8]], [[1, 2]]]


def test_sample_in_scope_reaches_choices_inside_of_containers() -> None:
    net, x = nn.Sequential(nn.Identity(), op_choice()), torch.ones(2, 1)
    with sample_scope(hard(OP, op=[1])):
        assert net(x).flatten().tolist() == [10, 10]
        with sample_scope(hard(OP, op=[2])):
            assert net(x).flatten().tolist() == [100, 100]
            assert net[1](x, hard(OP, op=[0])).flatten().tolist() == [
                1,
                1,
            ]  # one that is handed over wins
        assert net(x).flatten().tolist() == [10, 10]
    with pytest.raises(UserError, match="OpChoice 'op' has no sample"):
        net(x)


def test_scope_ends_with_an_exception_too() -> None:
    with pytest.raises(ZeroDivisionError), sample_scope(hard(OP, op=[1])):
        raise ZeroDivisionError
    with pytest.raises(UserError, match="no sample"):
        op_choice()(torch.ones(1, 1))


def test_threads_do_not_disturb_each_other() -> None:
    net, barrier, found = op_choice(), threading.Barrier(3), {}

    def run(pick: int) -> None:
        with sample_scope(hard(OP, op=[pick])):
            barrier.wait(10)  # all three scopes are open now
            found[pick] = net(torch.ones(1, 1)).item()
            barrier.wait(10)

    threads = [threading.Thread(target=run, args=(pick,)) for pick in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {0: 1, 1: 10, 2: 100}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: OpChoice({}), "OpChoice.options is empty"),
        (
            lambda: OpChoice({"a": torch.relu}),  # type: ignore[dict-item]
            r"OpChoice.options\['a'\] is .*must be an nn.Module",
        ),
        (
            lambda: OpChoice({"a": nn.ReLU()}, bn="none"),  # type: ignore[arg-type]
            "OpChoice.bn is 'none'; it must be batch or routed",
        ),
        (lambda: InputChoice(0), "InputChoice.n is 0"),
        (
            lambda: OpChoice({"a": nn.ReLU()})(torch.ones(1), hard(OP, op=[0])),
            r"this OpChoice \(a\) has no name",
        ),
        (
            lambda: OpChoice({"a": nn.ReLU()}, name="po")(torch.ones(1), hard(OP, op=[0])),
            "'po' is not in the sample; .*: op",
        ),
        (
            lambda: OpChoice({"a": nn.ReLU()}, name="op")(torch.ones(1), hard(OP, op=[0])),
            "has options .* but the sample",
        ),
        (
            lambda: InputChoice(3, name="op")(
                [torch.ones(1)], hard(layout(op=("0", "1", "2")), op=[0])
            ),
            "got 1 inputs",
        ),
        (
            lambda: op_choice()(torch.ones(4, 1), hard(OP, op=[0, 1, 2])),
            "3 architectures do not divide a batch of 4",
        ),
    ],
)
def test_mistakes_are_one_clear_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_options_of_different_shapes_are_refused_even_where_they_would_broadcast() -> None:
    choice = OpChoice({"flat": nn.Linear(3, 1), "wide": nn.Linear(3, 4)}, name="op")
    with pytest.raises(UserError, match=r"'flat' gives \[2, 1\], 'wide' gives \[2, 4\]"):
        choice(torch.ones(2, 3), relaxed(layout(op=("flat", "wide")), 1))


def test_bfloat16_autocast_with_options_of_both_precisions() -> None:
    where = layout(op=("linear", "norm", "skip"))
    choice = OpChoice(
        {"linear": nn.Linear(8, 8), "norm": nn.LayerNorm(8), "skip": nn.Identity()}, name="op"
    )
    x = torch.randn(6, 8)
    for drawn in (hard(where, op=[0, 1, 2]), relaxed(where, 3)):
        weights = drawn.groups[0].requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = choice(x, drawn)
        torch.testing.assert_close(found.float(), choice(x, drawn), rtol=0.05, atol=0.05)
        gradients = torch.autograd.grad(
            found.float().square().sum(), [weights, *choice.parameters()]
        )
        assert all(gradient.isfinite().all() for gradient in gradients)


class FunctionalRelu(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu_(x)


class AddsToHalf(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x[:, :1] += 1
        return x


IN_PLACE = {
    "relu": nn.ReLU(inplace=True),
    "relu6": nn.ReLU6(inplace=True),
    "silu": nn.SiLU(inplace=True),
    "hardswish": nn.Hardswish(inplace=True),
    "leaky": nn.LeakyReLU(inplace=True),
    "elu": nn.ELU(inplace=True),
    "dropout": nn.Dropout2d(0.5, inplace=True),
    "after identity": nn.Sequential(nn.Identity(), nn.ReLU(inplace=True)),
    "nested": nn.Sequential(nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 3, 1))),
    "after dropout": nn.Sequential(nn.Dropout(0.0), nn.Hardtanh(inplace=True)),
    "after views": nn.Sequential(nn.Flatten(2), nn.Unflatten(2, (4, 4)), nn.ReLU(inplace=True)),
}


@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("is_training", [True, False])
def test_an_option_that_works_in_place_changes_nothing_for_the_others(
    name: str, is_training: bool
) -> None:
    where = layout(op=("in place", "skip"))
    choice = OpChoice({"in place": IN_PLACE[name], "skip": nn.Identity()}, name="op")
    choice.train(is_training)
    x = torch.randn(6, 3, 4, 4)
    before = x.clone()
    only_skip = Sample(where, where.stack({"op": torch.tensor([[0.0, 1.0]])}), is_hard=False)
    torch.testing.assert_close(choice(x, only_skip), before)
    both = choice(x, hard(where, op=[0, 1, 0, 1, 0, 1]))
    torch.testing.assert_close(both[1::2], before[1::2])
    assert x.equal(before)


def test_only_what_touches_the_input_is_switched() -> None:
    block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU(inplace=True))
    OpChoice({"block": block, "skip": nn.Identity()}, name="op")
    activation = block[2]
    assert isinstance(activation, nn.ReLU)
    assert activation.inplace


@pytest.mark.parametrize("operation", [FunctionalRelu(), AddsToHalf()])
@pytest.mark.parametrize("is_hard", [True, False])
def test_an_option_of_ones_own_that_changes_its_input_is_refused(
    operation: nn.Module, is_hard: bool
) -> None:
    where = layout(op=("mine", "skip"))
    choice = OpChoice({"mine": operation, "skip": nn.Identity()}, name="op")
    sample = hard(where, op=[0, 0]) if is_hard else relaxed(where, 2)
    with pytest.raises(UserError, match="OpChoice 'op': option 'mine' changes its input in place"):
        choice(torch.randn(4, 3, 2, 2), sample)


def test_inference_tensors_are_taken() -> None:
    choice = op_choice()
    with torch.inference_mode():
        x = torch.ones(2, 3)
        assert choice(x, hard(OP, op=[1])).equal(10 * x)
