"""The derived network against a second, plain one written from the paper with functions only."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from unas.architecture.genotype import Genotype
from unas.architecture.published import load_genotype
from unas.common.errors import UserError
from unas.spaces import create_network, get, names
from unas.spaces.darts import DartsNetworkOptions, DartsSpace


def random_genotype(seed: int, operation: str | None = None, nodes: int = 4) -> Genotype:
    chooser = random.Random(seed)  # noqa: S311  no secrets here
    picks = {n: chooser.choice(o) for n, o in DartsSpace(nodes=nodes).choices.items()}
    if operation is not None:
        picks = {n: operation if "/op" in n else p for n, p in picks.items()}
    return Genotype("darts", picks)


class PlainNetwork:
    """Section 2 of DARTS as a function of the weights, read in the order in which the layers are
    used.
    """

    def __init__(self, genotype: Genotype, network: nn.Module, layers: int, stem: Any) -> None:
        self.choices, self.layers, self.stem = genotype.choices, layers, stem
        self.weights = list(network.state_dict().values())
        self.state = dict(network.state_dict())
        self.used: set[str] = set()

    def take(self, name: str) -> torch.Tensor:
        self.used.add(name)
        return self.state[name]

    def conv(self, x: torch.Tensor, name: str, **how: Any) -> torch.Tensor:
        return F.conv2d(x, self.take(name + ".weight"), **how)

    def bn(self, x: torch.Tensor, name: str) -> torch.Tensor:
        fields = [
            self.take(f"{name}.{f}") for f in ("running_mean", "running_var", "weight", "bias")
        ]
        mean, variance, gain, shift = (f[:, None, None] for f in fields)
        return (x - mean) / (variance + 1e-5).sqrt() * gain + shift

    def reduce(self, x: torch.Tensor, name: str) -> torch.Tensor:
        x = x.clamp(min=0)
        shifted = torch.zeros_like(x)
        shifted[:, :, :-1, :-1] = x[:, :, 1:, 1:]
        even, odd = (
            self.take(f"{name}.even.weight")[:, :, 0, 0],
            self.take(f"{name}.odd.weight")[:, :, 0, 0],
        )
        halves = [
            torch.einsum("oc,bchw->bohw", w, y[:, :, ::2, ::2])
            for w, y in ((even, x), (odd, shifted))
        ]
        return self.bn(torch.cat(halves, 1), f"{name}.bn")

    def operation(self, option: str, x: torch.Tensor, name: str, stride: int) -> torch.Tensor:
        c = x.shape[1]
        if option == "skip_connect":
            return x if stride == 1 else self.reduce(x, name)
        if option == "max_pool_3x3":
            return F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-torch.inf), 3, stride)
        if option == "avg_pool_3x3":
            window = torch.ones(c, 1, 3, 3)
            total, count = (
                F.conv2d(y, window, stride=stride, padding=1, groups=c)
                for y in (x, torch.ones_like(x))
            )
            return total / count
        if option == "dil_conv_3x3":
            y = self.conv(x.relu(), f"{name}.1", stride=stride, padding=2, dilation=2, groups=c)
            return self.bn(self.conv(y, f"{name}.2"), f"{name}.3")
        kernel = int(option[-1])
        for first, step in ((0, stride), (4, 1)):
            assert self.take(f"{name}.{first + 1}.weight").shape[-1] == kernel
            y = self.conv(
                x.relu(), f"{name}.{first + 1}", stride=step, padding=kernel // 2, groups=c
            )
            x = self.bn(self.conv(y, f"{name}.{first + 2}"), f"{name}.{first + 3}")
        return x

    def cell(
        self, index: int, s0: torch.Tensor, s1: torch.Tensor, follows_reduction: bool
    ) -> tuple[torch.Tensor, bool]:
        is_reduction = index in (self.layers // 3, 2 * self.layers // 3)
        kind, name = ("reduction" if is_reduction else "normal"), f"cells.{index}"
        if follows_reduction:
            s0 = self.reduce(s0, f"{name}.preprocess0")
        else:
            s0 = self.bn(self.conv(s0.relu(), f"{name}.preprocess0.1"), f"{name}.preprocess0.2")
        states = [
            s0,
            self.bn(self.conv(s1.relu(), f"{name}.preprocess1.1"), f"{name}.preprocess1.2"),
        ]
        for node in range(len(self.choices) // 8):
            node_sum: Any = 0
            for slot in (0, 1):
                source = int(self.choices[f"{kind}/node{node}/input{slot}"])
                option = self.choices[f"{kind}/node{node}/op{slot}"]
                stride = 2 if is_reduction and source < 2 else 1
                place = f"{name}.operations.{2 * node + slot}"
                node_sum = node_sum + self.operation(option, states[source], place, stride)
            states.append(node_sum)
        return torch.cat(states[2:], 1), is_reduction

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.stem == "cifar":
            s0 = s1 = self.bn(self.conv(x, "stem.conv", padding=1), "stem.bn")
        else:
            y = self.bn(self.conv(x, "stem.stem0.0", stride=2, padding=1), "stem.stem0.1").relu()
            s0 = self.bn(self.conv(y, "stem.stem0.3", stride=2, padding=1), "stem.stem0.4")
            s1 = self.bn(self.conv(s0.relu(), "stem.stem1.1", stride=2, padding=1), "stem.stem1.2")
        follows_reduction = self.stem == "imagenet"
        for index in range(self.layers):
            after, is_reduction = self.cell(index, s0, s1, follows_reduction)
            s0, s1, follows_reduction = s1, after, is_reduction
        return F.linear(
            s1.mean((2, 3)), self.take("classifier.weight"), self.take("classifier.bias")
        )


def randomise(network: nn.Module, seed: int = 0) -> None:
    """Give BatchNorm statistics and weights that matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith(("running_var", "running_mean")) or (
            value.ndim == 1 and value.is_floating_point()
        ):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)


@pytest.mark.parametrize(
    "genotype",
    [
        random_genotype(1),
        random_genotype(2),
        random_genotype(3, nodes=1),
        random_genotype(4, nodes=6),
        load_genotype("UNAS_CIFAR10"),
    ],
)
@pytest.mark.parametrize(
    ("stem", "side", "layers"), [("cifar", 8, 5), ("cifar", 14, 3), ("imagenet", 64, 4)]
)
def test_forward_equals_a_plain_one(genotype: Genotype, stem: Any, side: int, layers: int) -> None:
    torch.manual_seed(0)
    network = create_network(genotype, 7, 2, channels=4, layers=layers, stem=stem).double().eval()
    randomise(network)
    plain = PlainNetwork(genotype, network, layers, stem)
    images = torch.randn(3, 2, side, side, dtype=torch.float64)
    torch.set_default_dtype(torch.float64)
    try:
        expected = plain(images)
    finally:
        torch.set_default_dtype(torch.float32)
    assert expected.std() > 1e-3
    torch.testing.assert_close(network(images), expected, rtol=1e-9, atol=1e-9)
    unused = {name for name in network.state_dict() if "num_batches" not in name} - plain.used
    assert not unused


@pytest.mark.parametrize("operation", ["sep_conv_5x5", "skip_connect", "max_pool_3x3"])
def test_drop_path_zeroes_whole_images_at_its_probability_and_keeps_the_mean(
    operation: str,
) -> None:
    network: Any = create_network(
        random_genotype(3, operation), 3, channels=2, layers=3, drop_path=0.8
    )
    cell = network.cells[0]
    network.set_progress(0.5)
    scales = [s for part in network._drop_path_scales(torch.zeros(4000, 3, 8, 8)) for s in part]
    assert sum(c.num_droppable for c in network.cells) == len(scales)
    values = torch.stack([s.flatten() for s in scales])
    torch.testing.assert_close(values.unique(), torch.tensor([0.0, 1 / 0.6]))
    dropped = (values == 0).double().mean()
    assert abs(dropped - 0.4) < 4 * (0.24 / values.numel()) ** 0.5
    assert abs(values.double().mean() - 1) < 4 * (0.4 / 0.6 / values.numel()) ** 0.5
    # images and slots are dropped independently: neighbours agree as often as chance has it
    for pairs in (values[1:] == values[:-1], values[:, 1:] == values[:, :-1]):
        assert abs(pairs.double().mean() - 0.52) < 0.02
    assert cell.num_droppable == (0 if operation == "skip_connect" else 8)


def test_a_cell_with_everything_dropped_keeps_only_its_identities() -> None:
    choices = dict(random_genotype(4, "sep_conv_3x3").choices) | {
        "normal/node0/op0": "skip_connect",
        "normal/node0/input0": "0",
        "normal/node1/op1": "skip_connect",
        "normal/node1/input1": "1",
    }
    network: Any = create_network(
        Genotype("darts", choices), 3, channels=2, layers=3, drop_path=0.5
    )
    cell = network.cells[0].eval()
    state = torch.randn(2, 6, 8, 8)
    scales = [torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)] * cell.num_droppable
    dropped, kept = cell(state, state, scales)
    before_previous, previous = cell.preprocess0(state)[0], cell.preprocess1(state)[0]
    torch.testing.assert_close(
        dropped, torch.cat([before_previous, previous, torch.zeros(4, 8, 8)])
    )
    torch.testing.assert_close(kept, cell(state, state)[1])


def test_drop_path_follows_pytorchs_generator_and_progress() -> None:
    network: Any = create_network(
        random_genotype(5, "sep_conv_3x3"), 3, channels=2, layers=3, drop_path=0.9
    )
    images = torch.randn(8, 3, 8, 8)

    def logits(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return network.train()(images)

    assert torch.equal(logits(0), logits(1))  # no progress yet: nothing is dropped
    network.set_progress(1.0)
    assert torch.equal(logits(0), logits(0))
    assert not torch.equal(logits(0), logits(1))
    network.eval()
    assert torch.equal(network(images), network(images))


def test_auxiliary_head_is_there_in_training_only_and_learns() -> None:
    network: Any = create_network(
        load_genotype("UNAS_CIFAR10"), 5, channels=4, layers=4, auxiliary=True
    )
    images = torch.randn(2, 3, 32, 32)
    logits, auxiliary_logits = network(images)
    assert logits.shape == auxiliary_logits.shape == (2, 5)
    auxiliary_logits.sum().backward()
    assert (
        network.cells[2].preprocess1[1].weight.grad.abs().sum() > 0
    )  # the head sits after cell 2·4//3 = 2
    assert network.cells[3].preprocess1[1].weight.grad is None
    assert network.eval()(images).shape == (2, 5)


def test_auxiliary_head_says_when_images_are_too_small() -> None:
    network: Any = create_network(
        load_genotype("UNAS_CIFAR10"), 5, channels=2, layers=3, auxiliary=True
    )
    with pytest.raises(UserError, match=r"auxiliary is true.*2×2.*needs 8×8"):
        network(torch.randn(2, 3, 8, 8))
    assert network.eval()(torch.randn(2, 3, 8, 8)).shape == (2, 5)


def test_channels_last_and_autocast_give_the_same_logits() -> None:
    torch.manual_seed(0)
    network = create_network(
        load_genotype("UNAS_CIFAR100"), 4, channels=4, layers=3, drop_path=0.3
    ).eval()
    images = torch.randn(2, 3, 16, 16)
    expected = network(images)
    last = network.to(memory_format=torch.channels_last)
    found = last(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert last.train()(images).dtype == torch.bfloat16


def test_space_has_the_papers_choices() -> None:
    space = DartsSpace(operations=5)
    assert len(space.choices) == 32
    inputs = [len(o) for n, o in space.choices.items() if "/input" in n]
    assert sorted(inputs) == sorted([2, 3, 4, 5] * 4)
    assert {len(o) for n, o in space.choices.items() if "/op" in n} == {5}
    named = [name for pair in space.slot_pairs() for slot in pair for name in slot]
    assert sorted(named) == sorted(space.choices)
    assert "darts" in names()
    assert get("darts") is DartsSpace
    assert DartsSpace().choices == DartsSpace.all_choices()


@pytest.mark.parametrize("nodes", [1, 3, 4, 6, 16])
def test_nodes_are_told_from_a_genotype(nodes: int) -> None:
    space = DartsSpace(nodes=nodes)
    assert len(space.choices) == 8 * nodes
    genotype = random_genotype(0, nodes=nodes)
    assert Genotype.from_json(genotype.to_json()) == genotype
    for other in (space, DartsSpace()):
        other.check(genotype)
    missing = dict(genotype.choices)
    del missing[f"reduction/node{nodes - 1}/op1"]
    with pytest.raises(UserError, match=f"1 of the darts space's {8 * nodes} choices are missing"):
        Genotype.from_json(Genotype("darts", missing).to_json())


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: DartsSpace(nodes=0), "space.nodes is 0; it must be from 1 to 16"),
        (lambda: DartsSpace(nodes=17), "space.nodes"),
        (lambda: DartsSpace(operations=0), "space.operations"),
        (lambda: DartsSpace(operations=8), "space.operations"),
        (lambda: DartsSpace(bn="group"), "space.bn"),  # type: ignore[arg-type]
        (lambda: DartsSpace(channels=3), "space.channels"),
        (lambda: DartsNetworkOptions(layers=2), "network.layers"),
        (lambda: DartsNetworkOptions(channels=0), "network.channels"),
        (lambda: DartsNetworkOptions(stem="mnist"), "network.stem"),  # type: ignore[arg-type]
        (lambda: DartsNetworkOptions(auxiliary="no"), "network.auxiliary"),  # type: ignore[arg-type]
        (lambda: DartsNetworkOptions(drop_path=1.0), "network.drop_path"),
        (lambda: DartsNetworkOptions(drop_path=float("nan")), "network.drop_path"),
        (lambda: create_network(random_genotype(0), 10, chanels=4), "did you mean channels"),
        (lambda: create_network(random_genotype(0), 0), "num_classes"),
        (lambda: create_network(random_genotype(0), image_channels=-1), "image_channels"),
        (
            lambda: create_network(Genotype("darts", {})),
            "32 of",
        ),
        (lambda: create_network(Genotype("trap:Space", {})), "trap:Space"),
        (lambda: DartsSpace().network(Genotype("other", {}), 10), "genotype.space"),
    ],
)
def test_wrong_options_give_one_line(build: Callable[[], object], field: str) -> None:
    with pytest.raises(UserError) as error:
        build()
    assert field in str(error.value)
    assert "\n" not in str(error.value)
