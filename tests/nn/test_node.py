"""Nodes in C against the same modules in float64, one by one and mixed."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune
from torch.utils.flop_counter import FlopCounterMode

from unas.nn import native, node_call, node_table
from unas.nn.lease import give_back, lease
from unas.nn.mixed import Routes, mix, take
from unas.nn.node import NativeLayer, NativeNode
from unas.nn.node_call import NodeCall
from unas.nn.ops import OPERATIONS, FactorizedReduce, ReLUConvBN, build_operation

TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}
compiled = pytest.mark.skipif(native.kernels_of("node") is None, reason="needs a C compiler")


@pytest.fixture(autouse=True)
def threads_are_as_before() -> Iterator[None]:
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


def modules_of(stride: int, channels: int, *, affine: bool = False) -> list[nn.Module]:
    torch.manual_seed(channels)
    built = [build_operation(name, channels, stride, searching=not affine) for name in OPERATIONS]
    for operation in built:
        for parameter in operation.parameters():
            if parameter.dim() == 1:
                nn.init.uniform_(parameter, 0.5, 1.5)
    return built


def plain_node(
    operations: Sequence[tuple[int, nn.Module]],
    states: Sequence[Tensor],
    weights: Tensor,
    rows_of: Routes | None,
) -> Tensor:
    def run(state: int, operation: nn.Module, rows: Tensor | None) -> Tensor:
        images = states[state]
        outcome: Tensor = operation(images if rows is None else take(images, rows))
        return outcome

    branches = [
        (lambda rows, j=j, operation=operation: run(j, operation, rows))
        for j, operation in operations
    ]
    return mix(weights, branches, rows_of)


def difference(ours: Tensor | None, theirs: Tensor | None) -> float:
    if ours is None or theirs is None:
        assert all(x is None or not x.any() for x in (ours, theirs))
        return 0.0
    ours, theirs = ours.detach(), theirs.detach()
    scale = float(theirs.abs().max()) or 1.0
    return float((ours.double() - theirs.double()).abs().max()) / scale


def compare(
    operations: Sequence[tuple[int, nn.Module]],
    shapes: Sequence[tuple[int, ...]],
    strides: Sequence[int],
    rows_of: Routes | None = None,
) -> float:
    """Return how far node.c's outcome and gradients are from those of the modules; see `apart`."""
    generator = torch.Generator().manual_seed(0)
    states = [torch.randn(shape, generator=generator) for shape in shapes]
    weights = torch.rand(shapes[0][0], len(operations), generator=generator)
    if rows_of is not None:
        picked = torch.zeros_like(weights)
        for e, rows in rows_of.items():
            picked[slice(None) if rows is None else rows, e] = 1
        weights = picked
    results: list[list[Any]] = []
    for dtype in (torch.float64, *TOLERANCE):
        own = [(j, copy.deepcopy(operation).to(dtype).train()) for j, operation in operations]
        inputs = [x.to(dtype).requires_grad_() for x in (*states, weights)]
        if results:
            node = NativeNode(own, shapes[0][1], strides)
            assert node.runs(inputs[:-1], inputs[-1])
            outcome = node(inputs[:-1], inputs[-1], rows_of)
            with torch.no_grad():
                again = copy.deepcopy(node)(inputs[:-1], inputs[-1], rows_of)
            torch.testing.assert_close(again, outcome, rtol=1e-5, atol=1e-5)
        else:
            outcome = plain_node(own, inputs[:-1], inputs[-1], rows_of)
        parameters = [p for _, operation in own for p in operation.parameters()]
        buffers = [b.clone() for _, operation in own for b in operation.buffers()]
        slopes = torch.randn(outcome.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        gradients = torch.autograd.grad(outcome, [*inputs, *parameters], slopes, allow_unused=True)
        results.append([outcome, *gradients, *buffers])
    return apart(results)


def apart(results: Sequence[Sequence[Tensor | None]]) -> float:
    """Return how far apart the modules in float64 and node.c in both types are, in tolerances."""
    theirs, *ours_of = results
    differences = torch.tensor([list(map(difference, ours, theirs)) for ours in ours_of])
    tolerances = torch.tensor(list(TOLERANCE.values()))
    return float((differences / tolerances[:, None]).max())  # what is no number stays none


@compiled
@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("channels", "side"), [(16, 12), (4, 7), (20, 9), (32, 8), (64, 4), (6, 5)]
)
def test_each_operation(name: str, stride: int, channels: int, side: int) -> None:
    torch.manual_seed(0)
    operation = build_operation(name, channels, stride, searching=True)
    shape = (5, channels, side, side + 1)
    assert compare([(0, operation)], [shape], [stride]) < 1


@compiled
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_mixture_of_states_and_operations(affine: bool, stride: int, threads: int) -> None:
    torch.set_num_threads(threads)
    shapes = [(6, 16, 8, 8), (6, 16, 8, 8), (6, 16, 8 // stride, 8 // stride)]
    strides = [stride, stride, 1]
    operations = [
        (j, operation)
        for j, step in enumerate(strides)
        for operation in modules_of(step, 16, affine=affine)
    ]
    assert compare(operations, shapes, strides) < 1


ROUTES: list[Routes] = [
    {0: [0, 1], 1: [2, 3], 9: [0, 3], 12: [1, 2]},
    {3: None, 6: [1, 3]},
    {e: [e % 4] for e in range(14)},
    {2: [0], 5: [1, 2, 3], 13: None},
]


@compiled
@pytest.mark.parametrize(("batch", "threads"), [(4, 2), (16, 1), (16, 2)])
@pytest.mark.parametrize("rows_of", ROUTES)
def test_each_operation_sees_the_images_that_are_routed_to_it(
    rows_of: dict[int, list[int] | None], batch: int, threads: int
) -> None:
    torch.set_num_threads(threads)
    share = batch // 4
    spread = {
        e: None if rows is None else [r * share + i for r in rows for i in range(share)]
        for e, rows in rows_of.items()
    }
    operations = list(itertools.product((0, 1), modules_of(1, 16)))
    shapes = [(batch, 16, 6, 6)] * 2
    assert compare(operations, shapes, [1, 1], spread) < 1


@compiled
@pytest.mark.parametrize(
    ("layer", "side"), [(ReLUConvBN, 6), (FactorizedReduce, 8), (FactorizedReduce, 7)]
)
@pytest.mark.parametrize(("channels_in", "channels"), [(12, 16), (64, 16), (36, 10)])
def test_layers_before_a_cell(layer: Any, side: int, channels_in: int, channels: int) -> None:
    torch.manual_seed(0)
    module = layer(channels_in, channels, searching=False)
    images = torch.randn(3, channels_in, side, side)
    results: list[list[Any]] = []
    for dtype in (torch.float64, *TOLERANCE):
        own = copy.deepcopy(module).to(dtype)
        x = images.to(dtype).requires_grad_()
        if results:
            outcome = NativeLayer(own, channels_in, channels).run(x)
        else:
            outcome = own(x)
        gradients = torch.autograd.grad(outcome.pow(3).sum(), [x, *own.parameters()])
        results.append([outcome, *gradients, *own.buffers()])
    assert apart(results) < 1


@compiled
def test_only_what_is_asked_for_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    backward = NodeCall.backward

    def note(self: Any, *arguments: Any) -> Any:
        asked.append(arguments[-1])
        return backward(self, *arguments)

    monkeypatch.setattr(NodeCall, "backward", note)
    operations = [(0, operation) for operation in modules_of(1, 16)]
    node = NativeNode(operations, 16, [1])
    images = torch.randn(2, 16, 6, 6, requires_grad=True)
    weights = torch.rand(2, 7, requires_grad=True)
    parameters = [p for _, operation in operations for p in operation.parameters()]
    outcome = node([images], weights, None).square().sum()
    torch.autograd.grad(outcome, weights, retain_graph=True)
    torch.autograd.grad(outcome, parameters, retain_graph=True)
    torch.autograd.grad(outcome, [images, parameters[0]])
    flags = [(wants.weights, wants.parameters, tuple(wants.states)) for wants in asked]
    assert flags == [
        (True, False, (False,)),
        (False, True, (False,)),
        (False, True, (True,)),
    ]


def on_threads(*counts: int) -> list[list[Tensor]]:
    """Return the outcome and the gradients of one node on so many threads, again and again."""
    operations = [(0, operation) for operation in modules_of(1, 16)]
    node = NativeNode(operations, 16, [1])
    images, weights = torch.randn(4, 16, 6, 6), torch.rand(4, 7)
    parameters = [p for _, operation in operations for p in operation.parameters()]
    results = []
    for count in counts:
        torch.set_num_threads(count)
        outcome = node([images], weights, None)
        results.append([outcome, *torch.autograd.grad(outcome.square().sum(), parameters)])
    return results


@compiled
def test_one_and_three_threads_give_the_same_up_to_rounding() -> None:
    for one, three in zip(*on_threads(1, 3), strict=True):
        torch.testing.assert_close(one, three, rtol=1e-4, atol=1e-4)


@compiled
def test_the_same_numbers_again_have_the_same_bits() -> None:
    once, *more = on_threads(2, 2, 2)
    for again in more:
        assert all(map(torch.equal, once, again))


@compiled
@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_no_number_stays_none(name: str) -> None:
    operation = build_operation(name, 16, 1, searching=True)
    node = NativeNode([(0, operation)], 16, [1])
    images = torch.randn(2, 16, 6, 6)
    images[1, 3, 2, 2] = torch.nan
    outcome = node([images], torch.ones(2, 1), None)
    assert outcome.isnan().any()


@compiled
def test_a_single_value_a_channel_is_refused() -> None:
    node = NativeNode([(0, build_operation("sep_conv_3x3", 16, 1, searching=True))], 16, [1])
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        node([torch.randn(1, 16, 1, 1)], torch.ones(1, 1), None)


@compiled
def test_modules_do_what_node_c_can_not() -> None:
    operations = [(0, operation) for operation in modules_of(1, 16)]
    node = NativeNode(operations, 16, [1])
    images, weights = torch.randn(2, 16, 6, 6), torch.ones(2, 7)
    assert node.runs([images], weights)
    assert not node.runs([images.double()], weights)
    assert not node.runs([images.double()], weights.double())  # its parameters are float32
    assert not node.runs([images.half()], weights.half())
    assert not node.runs([images.to("meta")], weights)
    with torch.autocast("cpu", torch.bfloat16):
        assert not node.runs([images], weights)
    with FlopCounterMode(display=False):
        assert not node.runs([images], weights)
    handle = operations[4][1].register_forward_hook(lambda *_: None)
    assert not node.runs([images], weights)
    handle.remove()
    assert node.runs([images], weights)
    separable: Any = operations[4][1]
    norm = separable[3]
    separable[3] = nn.GroupNorm(1, 16)
    assert not node.runs([images], weights)
    separable[3] = norm
    assert node.runs([images], weights)
    prune.random_unstructured(operations[1][1][1], "weight", 0.5)  # type: ignore[index]
    assert not node.runs([images], weights)
    prune.remove(operations[1][1][1], "weight")  # type: ignore[index]
    parametrize.register_parametrization(operations[3][1][2], "weight", nn.Identity())  # type: ignore[index]
    assert not node.runs([images], weights)
    network = nn.ModuleList(modules_of(1, 16, affine=True)).eval()
    assert not NativeNode([(0, m) for m in network], 16, [1]).runs([images], weights)


@compiled
def test_a_batch_norm_that_was_changed_is_run_itself() -> None:
    """As by `update_bn`, which sets the momentum to None, or where some are frozen."""
    network = nn.ModuleList(modules_of(1, 16, affine=True))
    node = NativeNode([(0, operation) for operation in network], 16, [1])
    images, weights = torch.randn(2, 16, 6, 6), torch.ones(2, 7)
    assert node.runs([images], weights)
    last = [each for each in network.modules() if isinstance(each, nn.BatchNorm2d)][-1]
    for name, value in {"momentum": None, "eps": 1e-2, "training": False}.items():
        before = getattr(last, name)
        setattr(last, name, value)
        assert not node.runs([images], weights), name
        setattr(last, name, before)
        assert node.runs([images], weights), name


def test_both_languages_have_the_same_sizes() -> None:
    source = resources.files("unas.nn").joinpath("node.c").read_text()
    sizes = dict(re.findall(r"#define (LANES|GROUP) (\d+)", source))
    assert sizes == {"LANES": str(node_table.LANES), "GROUP": str(node_call.GROUP)}
    source = re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL)
    members = re.findall(r"struct (stage|operation|node) \{\n(.*?)\n\};", source, re.DOTALL)
    names = {name: re.findall(r"\**(\w+)(?:\[2\])?[,;]", text) for name, text in members}
    assert names["stage"] == list(node_table.STAGE)
    assert names["operation"] == [*node_table.OPERATION, "stages"]
    assert names["node"] == list(node_table.NODE)


def test_a_block_is_used_again() -> None:
    give_back()
    first = lease(100_000)
    address = first.address
    other = lease(100_000)
    assert other.address != address
    del first
    assert lease(99_990).address == address
