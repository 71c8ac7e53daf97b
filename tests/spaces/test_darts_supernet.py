"""The DARTS supernet against a plain one written on its own, and what its engine promises."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import supernet_comparison
from plain_supernet import copy_parameters
from unas.architecture.genotype import Genotype
from unas.architecture.policy import Layout, Sample
from unas.graphs.size import count_macs, count_parameters
from unas.spaces import SearchSpace
from unas.spaces.darts import DartsSpace

TOLERANCE = 1e-5
SIZES = {"cifar": 16, "imagenet": 64}
SMALL: dict[str, Any] = {"channels": 4, "layers": 5}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("num_samples", [1, 4, 8])
@pytest.mark.parametrize(("bn", "is_hard"), [("batch", False), ("batch", True), ("routed", True)])
@pytest.mark.parametrize("stem", SIZES)
def test_outputs_and_all_gradients_equal_the_plain_supernet(
    stem: Any, bn: Any, is_hard: bool, num_samples: int
) -> None:
    space = DartsSpace(**SMALL, stem=stem, bn=bn)
    found = supernet_comparison.compare(space, num_samples, is_hard, batch=8, size=SIZES[stem])
    assert found.largest < TOLERANCE
    assert found.unpicked


@pytest.mark.parametrize("operations", [1, 3, 5])
@pytest.mark.parametrize(("bn", "is_hard"), [("routed", False), ("batch", True), ("routed", True)])
def test_fewer_operations_equal_the_plain_supernet_too(
    operations: int, bn: Any, is_hard: bool
) -> None:
    space = DartsSpace(channels=4, layers=3, operations=operations, bn=bn)
    found = supernet_comparison.compare(space, 2, is_hard, batch=4, size=12, seed=operations)
    assert found.largest < TOLERANCE
    assert found.unpicked


@pytest.mark.parametrize("nodes", [1, 2, 5])
@pytest.mark.parametrize("is_hard", [False, True])
def test_another_number_of_nodes_equals_the_plain_supernet_too(nodes: int, is_hard: bool) -> None:
    space = DartsSpace(channels=4, layers=3, operations=3, nodes=nodes)
    found = supernet_comparison.compare(space, 2, is_hard, batch=4, size=12, seed=nodes)
    assert found.largest < TOLERANCE


def test_the_comparison_notices_one_changed_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(source: nn.Module, target: nn.Module) -> None:
        copy(source, target)
        with torch.no_grad():
            cast("Any", target).cells[1].nodes[2][3][4][0][1].weight.mul_(1.01)

    copy = copy_parameters
    monkeypatch.setattr(supernet_comparison, "copy_parameters", spoil)
    assert (
        supernet_comparison.compare(
            DartsSpace(channels=4, layers=3), 1, False, batch=2, size=8
        ).largest
        > TOLERANCE
    )


def test_search_network_has_the_published_number_of_parameters() -> None:
    assert count_parameters(DartsSpace().supernet(10)) == 2_479_866


def test_two_forwards_with_different_samples_do_not_disturb_each_other() -> None:
    space = DartsSpace(channels=4, layers=3)
    supernet: Any = space.supernet(10)
    images = torch.randn(4, 3, 8, 8)
    samples = [
        supernet_comparison.draw(space, 2, is_hard, seed).detach()
        for seed, is_hard in enumerate((False, True, True, False))
    ]
    samples = [Sample(s.layout, tuple(g.float() for g in s.groups), s.is_hard) for s in samples]
    weight = supernet.classifier.weight
    alone = [
        torch.autograd.grad(supernet(images, sample).square().sum(), weight)[0]
        for sample in samples
    ]
    together = [supernet(images, sample).square().sum() for sample in samples]
    for expected, loss in zip(reversed(alone), reversed(together), strict=True):
        assert torch.equal(torch.autograd.grad(loss, weight)[0], expected)


def genotypes_without_twins(space: SearchSpace, count: int) -> list[Genotype]:
    """Return genotypes no node of which picks the same operation on the same input twice."""
    found = []
    for seed in range(count):
        (genotype,) = supernet_comparison.draw(space, 1, True, seed).genotypes()
        choices = dict(genotype.choices)
        for (input0, _), (input1, _) in space.slot_pairs():
            choices[input0], choices[input1] = "0", "1"
        found.append(Genotype(space.registry_name, choices))
    return found


def supernet_macs(supernet: nn.Module, images: torch.Tensor, sample: Sample) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        supernet(images, sample)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("bn", ["batch", "routed"])
def test_hard_sample_of_one_architecture_computes_its_network_and_no_more(bn: Any) -> None:
    space = DartsSpace(**SMALL, bn=bn)
    (genotype,) = genotypes_without_twins(space, 1)
    sample = Sample.from_genotypes(Layout(space.choices, space.registry_name), [genotype])
    macs = count_macs(space.network(genotype, 10, channels=4, layers=5), (3, 16, 16))
    assert supernet_macs(space.supernet(10), torch.randn(4, 3, 16, 16), sample) == 4 * macs


def test_routed_hard_sample_computes_for_each_image_its_own_network_and_no_more() -> None:
    space = DartsSpace(**SMALL, bn="routed")
    genotypes = genotypes_without_twins(space, 4)
    sample = Sample.from_genotypes(Layout(space.choices, space.registry_name), genotypes)
    macs = sum(
        count_macs(space.network(g, 10, channels=4, layers=5), (3, 16, 16)) for g in genotypes
    )
    assert supernet_macs(space.supernet(10), torch.randn(4, 3, 16, 16), sample) == macs


def test_hard_sample_calls_only_the_modules_of_its_operations() -> None:
    space = DartsSpace(**SMALL)
    supernet, called = space.supernet(10), set()
    for module in supernet.cells.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda m, *_: called.add(m))
    (genotype,) = genotypes_without_twins(space, 1)
    supernet(
        torch.randn(2, 3, 8, 8),
        Sample.from_genotypes(Layout(space.choices, space.registry_name), [genotype]),
    )
    network = space.network(genotype, 10, channels=4, layers=5)
    assert len(called) == sum(
        isinstance(module, torch.nn.Conv2d) for module in network.cells.modules()
    )


class PoolCalls(TorchDispatchMode):
    """Counts what reaches PyTorch's pooling kernels, whichever module it comes from."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = {"max_pool2d": 0, "avg_pool2d": 0}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for name in self.counts:
            self.counts[name] += func.__name__.startswith(name)
        return func(*args, **(kwargs or {}))


def test_every_state_is_pooled_once_however_many_nodes_use_it() -> None:
    space = DartsSpace(**SMALL)
    sample = supernet_comparison.draw(space, 1, is_hard=False)
    with PoolCalls() as calls:
        space.supernet(10).double()(torch.randn(2, 3, 8, 8, dtype=torch.float64), sample)
    states = 5  # two inputs and three nodes: the fourth node's state leaves the cell unpooled
    assert calls.counts == {"max_pool2d": 5 * states, "avg_pool2d": 5 * states}


def test_architectures_that_do_not_divide_the_batch_are_refused() -> None:
    space = DartsSpace(channels=4, layers=3)
    for is_hard in (False, True):
        sample = supernet_comparison.draw(space, 3, is_hard)
        with pytest.raises(ValueError, match="3 architectures do not divide a batch of 4 images"):
            space.supernet(10).double()(torch.randn(4, 3, 8, 8, dtype=torch.float64), sample)


@pytest.mark.parametrize(("bn", "is_hard"), [("batch", False), ("batch", True), ("routed", True)])
def test_inner_states_are_channels_last(bn: Any, is_hard: bool) -> None:
    space, states = DartsSpace(channels=4, layers=3, bn=bn), []
    supernet = space.supernet(10).double()
    for cell in supernet.cells:
        cell.register_forward_hook(lambda _module, _inputs, output: states.append(output))
    sample = supernet_comparison.draw(space, 4, is_hard)
    supernet(torch.randn(4, 3, 16, 16, dtype=torch.float64), sample)
    assert len(states) == 3
    assert all(state.is_contiguous(memory_format=torch.channels_last) for state in states)


@pytest.mark.parametrize("num_samples", [1, 4])
@pytest.mark.parametrize(("bn", "is_hard"), [("batch", False), ("batch", True), ("routed", True)])
def test_bfloat16_autocast_goes_forward_and_backward(
    bn: Any, is_hard: bool, num_samples: int
) -> None:
    torch.manual_seed(0)
    space = DartsSpace(channels=4, layers=3, bn=bn)
    supernet, images = space.supernet(10), torch.randn(4, 3, 16, 16)
    drawn = supernet_comparison.draw(space, num_samples, is_hard)
    groups = tuple(group.detach().float().requires_grad_() for group in drawn.groups)
    sample = Sample(drawn.layout, groups, is_hard)
    exact = supernet(images, sample)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = supernet(images, sample)
    # Ten bits less of precision, through three cells.
    assert (logits.float() - exact).norm() < 0.1 * exact.norm()
    logits.float().square().sum().backward()
    gradients = [p.grad for p in supernet.parameters() if p.grad is not None] + [
        g.grad for g in groups
    ]
    assert len(gradients) > len(groups) + 30
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert all(gradient.any() for gradient in gradients[-len(groups) :])
