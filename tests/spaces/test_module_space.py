"""Any model with choices in it as a search space."""

import functools
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from unas import spaces
from unas.architecture.genotype import Genotype
from unas.architecture.policy import Layout, Policy, Sample
from unas.common.errors import UserError
from unas.estimators import draw_hard
from unas.nn.choice import Choice, InputChoice, OpChoice
from unas.spaces import ModuleSpace, SearchSpace
from unas.spaces.base import NetworkOptions

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_model.py"


def conv(channels_in: int, channels_out: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


class Net(nn.Module):
    """A choice in a Sequential, one with a choice in an option, one of inputs, and two that decide
    alike.
    """

    def __init__(self, num_classes: int = 10, image_channels: int = 3, width: int = 4) -> None:
        super().__init__()
        inner = OpChoice({"relu": nn.ReLU(), "tanh": nn.Tanh()})
        self.stem = nn.Sequential(
            conv(image_channels, width, 3),
            OpChoice(
                {"k1": conv(width, width, 1), "k3": conv(width, width, 3), "skip": nn.Identity()}
            ),
        )
        self.block = OpChoice(
            {"skip": nn.Identity(), "block": nn.Sequential(conv(width, width, 3), inner)}
        )
        self.tied = nn.ModuleList(
            OpChoice({"max": nn.MaxPool2d(3, 1, 1), "avg": nn.AvgPool2d(3, 1, 1)}, name="pool")
            for _ in range(2)
        )
        self.source = InputChoice(3)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        states = [self.stem(images)]
        states.append(self.block(states[0]))
        states.append(self.tied[1](self.tied[0](states[1])))
        return self.head(self.source(states).mean((2, 3)))


def with_classes_only(num_classes: int) -> nn.Module:
    return Net(num_classes)


def with_anything(**sizes: Any) -> nn.Module:
    return Net(**sizes)


CHOICES = {
    "stem/1": ("k1", "k3", "skip"),
    "block": ("skip", "block"),
    "block/candidates/1/1": ("relu", "tanh"),
    "pool": ("max", "avg"),
    "source": ("0", "1", "2"),
}
PICKED = {
    "stem/1": "k3",
    "block": "block",
    "block/candidates/1/1": "tanh",
    "pool": "avg",
    "source": "2",
}
GENOTYPE = Genotype("module", PICKED)


def sample_of(space: SearchSpace, *genotypes: Genotype) -> Sample:
    return Sample.from_genotypes(Layout(space.choices, space.registry_name), genotypes)


def test_choices_are_called_by_their_path_and_asking_for_them_draws_no_random_number() -> None:
    before = torch.get_rng_state()
    assert ModuleSpace(Net).choices == CHOICES
    assert torch.equal(torch.get_rng_state(), before)


def test_the_space_is_found_by_its_name() -> None:
    assert spaces.get("module") is ModuleSpace
    assert ModuleSpace(Net).registry_name == "module"
    assert ModuleSpace.all_choices() is None
    assert ModuleSpace.network_options is NetworkOptions


@pytest.mark.parametrize(
    ("model", "classes"),
    [
        (Net, 7),
        (functools.partial(Net, width=8), 7),
        (with_classes_only, 7),
        (with_anything, 7),
        (lambda: Net(5), 5),
        (Net(5), 5),
    ],
)
def test_a_class_a_function_and_a_model_all_make_a_space(model: Any, classes: int) -> None:
    space = ModuleSpace(model)
    assert space.choices == CHOICES
    images = torch.randn(4, 3, 8, 8)
    assert space.supernet(7)(images, sample_of(space, GENOTYPE)).shape == (4, classes)
    assert space.network(GENOTYPE, 7)(images).shape == (4, classes)


def test_a_model_is_left_as_it_was_and_shares_nothing_with_what_is_made_of_it() -> None:
    model = Net()
    space, before = (
        ModuleSpace(model),
        {name: value.clone() for name, value in model.state_dict().items()},
    )
    supernet, network = space.supernet(10), space.network(GENOTYPE, 10)
    for made in (supernet, network):
        made(torch.randn(4, 3, 8, 8), *([sample_of(space, GENOTYPE)] if made is supernet else []))
        assert not {p.data_ptr() for p in made.parameters()} & {
            p.data_ptr() for p in model.parameters()
        }
    assert all(
        choice.name in {None, "pool"} for choice in model.modules() if isinstance(choice, Choice)
    )
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def decide_by_hand(net: Any, images: torch.Tensor, picked: Mapping[str, str]) -> torch.Tensor:
    """Return what the model computes, written out for one architecture, choice modules unused."""

    def option(choice: OpChoice, name: str) -> nn.Module:
        return choice.candidates[choice.options.index(picked[name])]

    first = option(net.stem[1], "stem/1")(net.stem[0](images))
    block = net.block.candidates[1]
    second = (
        option(block[1], "block/candidates/1/1")(block[0](first))
        if picked["block"] == "block"
        else first
    )
    third = option(net.tied[1], "pool")(option(net.tied[0], "pool")(second))
    return net.head([first, second, third][int(picked["source"])].mean((2, 3)))


def test_hard_forward_equals_the_picked_operations_called_by_hand() -> None:
    torch.manual_seed(0)
    space, images = ModuleSpace(Net), torch.randn(6, 3, 8, 8)
    supernet = space.supernet(10)
    genotypes = draw_hard(Policy(space.choices), 8, torch.Generator().manual_seed(0)).genotypes()
    assert len(set(genotypes)) > 4
    for genotype in genotypes:
        expected = decide_by_hand(supernet.model, images, genotype.choices)
        torch.testing.assert_close(supernet(images, sample_of(space, genotype)), expected)


def test_supernet_keeps_no_statistics_of_the_architectures_it_ran() -> None:
    space, images = ModuleSpace(Net), torch.randn(4, 3, 8, 8)
    supernet = space.supernet(10)
    before = {name: value.clone() for name, value in supernet.state_dict().items()}
    first = supernet(images, sample_of(space, GENOTYPE))
    supernet(images + 5, sample_of(space, Genotype("module", {**PICKED, "stem/1": "skip"})))
    assert all(torch.equal(value, before[name]) for name, value in supernet.state_dict().items())
    assert torch.equal(supernet.eval()(images, sample_of(space, GENOTYPE)), first)


def test_network_is_the_picked_modules_and_nothing_else() -> None:
    network = ModuleSpace(Net).network(GENOTYPE, 10)
    assert not any(isinstance(module, Choice) for module in network.modules())
    names = [name for name, _ in network.named_parameters()]
    assert not any("candidates" in name for name in names)
    by_hand = nn.ModuleList([conv(3, 4, 3), conv(4, 4, 3), conv(4, 4, 3), nn.Linear(4, 10)])
    assert sum(p.numel() for p in network.parameters()) == sum(
        p.numel() for p in by_hand.parameters()
    )
    assert isinstance(network.get_submodule("block.1"), nn.Tanh)
    assert isinstance(network.get_submodule("tied.0"), nn.AvgPool2d)


def test_network_exports_and_the_program_computes_the_same() -> None:
    network, images = ModuleSpace(Net).network(GENOTYPE, 10).eval(), torch.randn(2, 3, 8, 8)
    program = torch.export.export(network, (images,))
    torch.testing.assert_close(program.module()(images), network(images))


class Twice(nn.Module):
    """One choice at two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first = OpChoice({"half": nn.Linear(3, 3), "keys": nn.Linear(3, 3, bias=False)})
        self.second = nn.Sequential(self.first)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))


def test_a_choice_at_two_places_is_one_decision_and_stays_one_module() -> None:
    space = ModuleSpace(Twice)
    assert space.choices == {"first": ("half", "keys")}
    network = space.network(Genotype("module", {"first": "keys"}), 10)
    assert network.first is network.get_submodule("second.0")
    assert sum(p.numel() for p in network.parameters()) == 9


def test_a_model_that_is_one_choice() -> None:
    space = ModuleSpace(lambda: OpChoice({"a": nn.Flatten(), "b": nn.Identity()}))
    assert space.choices == {"choice": ("a", "b")}
    network = space.network(Genotype("module", {"choice": "a"}), 10)
    images = torch.rand(2, 3, 4)
    assert network(images).equal(images.flatten(1))


def differing() -> nn.Module:
    return nn.Sequential(OpChoice({"a": nn.ReLU()}, name="x"), OpChoice({"b": nn.ReLU()}, name="x"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ModuleSpace("Net"),  # type: ignore[arg-type]
            "ModuleSpace.model is 'Net'; it must be an nn.Module or what returns one",
        ),
        (
            lambda: ModuleSpace(lambda width: Net(width=width)).choices,
            "can't be called with nothing alone .*'width'",
        ),
        (
            lambda: ModuleSpace(lambda: None).choices,  # type: ignore[arg-type, return-value]
            "returned None; it must return an nn.Module",
        ),
        (lambda: ModuleSpace(nn.ReLU).choices, "ReLU has no choice in it"),
        (
            lambda: ModuleSpace(differing).choices,
            r"choice 'x' has options \('a',\) at one place and \('b',\)",
        ),
        (
            lambda: ModuleSpace(Net).network(Genotype("darts", PICKED), 10),
            "genotype.space is 'darts'",
        ),
        (
            lambda: ModuleSpace(Net).network(Genotype("module", {"block": "skip"}), 10),
            "4 of the module space's 5",
        ),
        (
            lambda: ModuleSpace(Net).network(GENOTYPE, 10, channels=3),
            "network option 'channels' does not exist",
        ),
    ],
)
def test_mistakes_are_one_clear_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_example_runs() -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLE], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "choices" in done.stdout


class InPlace(nn.Module):
    """Two choices whose outcomes are changed in place, and whose input is used again."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.op = OpChoice({"skip": nn.Identity(), "conv": nn.Conv2d(4, 4, 1)})
        self.source = InputChoice(2)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        stem = self.stem(images) - 0.3
        mixed = self.activation(self.op(stem))
        picked = self.source([stem, mixed])
        picked += 1
        return (stem + 2 * mixed + picked).mean((2, 3))


@pytest.mark.parametrize("option", ["skip", "conv"])
@pytest.mark.parametrize("source", ["0", "1"])
def test_what_a_choice_gives_may_be_changed_in_place(option: str, source: str) -> None:
    torch.manual_seed(0)
    space, images = ModuleSpace(InPlace()), torch.randn(3, 1, 5, 5)
    genotype = Genotype("module", {"op": option, "source": source})
    sample = Sample.from_genotypes(Layout(space.choices, "module"), [genotype])
    network = space.network(genotype, 4, 1)
    expected = space.supernet(4, 1)(images, sample)
    torch.testing.assert_close(network(images), expected)
    network(images).sum().backward()  # autograd would notice what is overwritten
