"""The ProxylessNAS supernet against a plain one written on its own, and what its engine promises."""

from typing import Any, cast

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import supernet_comparison
from plain_supernet import copy_parameters
from unas.architecture.genotype import Genotype
from unas.architecture.policy import Layout, Sample
from unas.graphs.size import count_macs
from unas.spaces import SearchSpace
from unas.spaces.proxylessnas import ProxylessSpace

# A shift that the next BatchNorm removes has gradient zero: of those, rounding is compared
TOLERANCE = 1e-7
WIDTH = 0.1
SIZES = {
    "batch": 32,
    "routed": 64,
}  # at 32 the last layers see one pixel; of one routed image there are no statistics


@pytest.mark.parametrize("num_samples", [1, 4, 8])
@pytest.mark.parametrize(
    ("bn", "is_hard"), [("batch", False), ("batch", True), ("routed", False), ("routed", True)]
)
def test_outputs_and_all_gradients_equal_the_plain_supernet(
    bn: Any, is_hard: bool, num_samples: int
) -> None:
    space = ProxylessSpace(width=WIDTH, bn=bn)
    found = supernet_comparison.compare(space, num_samples, is_hard, batch=8, size=SIZES[bn])
    assert found.largest < TOLERANCE
    assert found.unpicked


@pytest.mark.parametrize("layer", [0, 20])
def test_the_comparison_notices_one_changed_weight(
    layer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(source: nn.Module, target: nn.Module) -> None:
        copy(source, target)
        with torch.no_grad():
            cast("Any", target).layers[layer][3].steps[0].weight.mul_(1.01)

    copy = copy_parameters
    monkeypatch.setattr(supernet_comparison, "copy_parameters", spoil)
    assert (
        supernet_comparison.compare(ProxylessSpace(width=WIDTH), 1, False, batch=2, size=64).largest
        > TOLERANCE
    )


def drawn(space: SearchSpace, count: int) -> Sample:
    """Return a hard sample of float32 weights."""
    sample = supernet_comparison.draw(space, count, is_hard=True)
    return Sample.from_genotypes(Layout(space.choices, space.registry_name), sample.genotypes())


def macs_of(supernet: nn.Module, images: torch.Tensor, sample: Sample) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        supernet(images, sample)
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("bn", ["batch", "routed"])
def test_hard_sample_of_one_architecture_computes_its_network_and_no_more(bn: Any) -> None:
    space = ProxylessSpace(width=WIDTH, bn=bn)
    sample = drawn(space, 1)
    macs = count_macs(space.network(sample.genotypes()[0], 10, width=WIDTH), (3, 32, 32))
    assert macs_of(space.supernet(10), torch.randn(4, 3, 32, 32), sample) == 4 * macs


def test_routed_hard_sample_computes_for_each_image_its_own_network_and_no_more() -> None:
    space = ProxylessSpace(width=WIDTH, bn="routed")
    sample = drawn(space, 4)
    macs = sum(
        count_macs(space.network(g, 10, width=WIDTH), (3, 64, 64)) for g in sample.genotypes()
    )
    assert macs_of(space.supernet(10), torch.randn(4, 3, 64, 64), sample) == macs


def test_hard_sample_of_one_architecture_gives_its_network_in_training() -> None:
    space = ProxylessSpace(width=WIDTH)
    sample, supernet = drawn(space, 1), space.supernet(10).eval()
    (genotype,) = sample.genotypes()
    network = space.network(genotype, 10, width=WIDTH).train()
    parts = [
        supernet.stem,
        *(layer.candidates[_index(layer, genotype)] for layer in supernet.layers),
        supernet.head,
    ]
    weights = [weight for part in parts for weight in part.parameters()]
    with torch.no_grad():
        for ours, theirs in zip(network.parameters(), weights, strict=True):
            ours.copy_(theirs)
    images = torch.randn(4, 3, 64, 64)
    torch.testing.assert_close(supernet(images, sample), network(images), rtol=1e-3, atol=1e-4)


def _index(layer: Any, genotype: Genotype) -> int:
    return layer.options.index(genotype.choices[layer.name])


def skipping(space: SearchSpace) -> Sample:
    """Return the hard sample of the architecture that skips wherever it can."""
    genotype = Genotype(
        space.registry_name, {name: options[0] for name, options in space.choices.items()}
    )
    return Sample.from_genotypes(Layout(space.choices, space.registry_name), [genotype])


def test_skips_drop_a_tenth_in_training_and_keep_the_mean() -> None:
    space = ProxylessSpace(width=WIDTH)
    supernet: Any = space.supernet(10)
    ones = torch.ones(64, 3, 32, 32)
    torch.manual_seed(0)
    values = supernet.layers[1](ones, skipping(space))
    torch.testing.assert_close(values.unique(), torch.tensor([0.0, 1 / 0.9]))
    count = values.numel()
    assert abs((values == 0).double().mean() - 0.1) < 4 * (0.09 / count) ** 0.5
    supernet.eval()
    assert torch.equal(supernet.layers[1](ones, skipping(space)), ones)


def test_only_the_layers_that_can_be_skipped_have_dropout() -> None:
    supernet: Any = ProxylessSpace(width=WIDTH).supernet(10)
    dropping = [
        n
        for n, layer in enumerate(supernet.layers, 1)
        if any(isinstance(m, nn.Dropout) for m in layer.modules())
    ]
    assert dropping == [n for n in range(1, 22) if n not in {1, 5, 9, 13, 17, 21}]
    assert sum(isinstance(module, nn.Dropout) for module in supernet.modules()) == 15


def test_dropout_follows_pytorchs_generator() -> None:
    space = ProxylessSpace(width=WIDTH)
    supernet, images = space.supernet(10), torch.randn(4, 3, 64, 64)

    def logits(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return supernet(images, skipping(space))

    assert torch.equal(logits(0), logits(0))
    assert not torch.equal(logits(0), logits(1))


def test_every_normalisation_is_affine_and_uses_the_batch() -> None:
    norms = [
        m
        for m in ProxylessSpace(width=WIDTH).supernet(10).modules()
        if isinstance(m, nn.BatchNorm2d)
    ]
    assert len(norms) == 1 + 2 + 21 * 6 * 3 + 1
    assert all(norm.eps == 1e-3 and norm.affine and norm.running_mean is None for norm in norms)


@pytest.mark.parametrize(("bn", "is_hard"), [("batch", False), ("batch", True), ("routed", True)])
def test_inner_states_are_channels_last(bn: Any, is_hard: bool) -> None:
    space, states = ProxylessSpace(width=WIDTH, bn=bn), []
    supernet = space.supernet(10).double()
    for layer in supernet.layers:
        layer.register_forward_hook(lambda _module, _inputs, output: states.append(output))
    supernet(
        torch.randn(4, 3, 64, 64, dtype=torch.float64), supernet_comparison.draw(space, 4, is_hard)
    )
    assert len(states) == 21
    assert all(state.is_contiguous(memory_format=torch.channels_last) for state in states)


@pytest.mark.parametrize(("bn", "is_hard"), [("batch", False), ("batch", True), ("routed", True)])
def test_bfloat16_autocast_goes_forward_and_backward(bn: Any, is_hard: bool) -> None:
    torch.manual_seed(0)
    space = ProxylessSpace(width=WIDTH, bn=bn)
    supernet, images = space.supernet(10).eval(), torch.randn(8, 3, 64, 64)
    sample = supernet_comparison.draw(space, 4, is_hard)
    groups = tuple(group.detach().float().requires_grad_() for group in sample.groups)
    sample = Sample(sample.layout, groups, is_hard)
    exact = supernet(images, sample)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = supernet(images, sample)
    # Sixteen bits less of precision, through 23 blocks of few channels; unrelated logits would be
    # 1.4 apart.
    assert (logits.float() - exact).norm() < 0.5 * exact.norm()
    logits.float().square().sum().backward()
    gradients = [p.grad for p in supernet.parameters() if p.grad is not None] + [
        g.grad for g in groups
    ]
    assert len(gradients) > len(groups) + 30
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert all(gradient.any() for gradient in gradients[-len(groups) :])
