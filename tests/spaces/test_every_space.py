"""What every search space must hold; a new one is found by its file."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from unas import spaces
from unas.architecture.genotype import Genotype
from unas.architecture.policy import Policy, Sample
from unas.architecture.published import load_genotype
from unas.common.errors import UserError
from unas.estimators import draw_hard, draw_relaxed
from unas.nn.choice import InputChoice, OpChoice
from unas.spaces import SearchSpace
from unas.spaces.darts import DartsSpace

CLASSES, BATCH = 7, 4
SIZE, SIZES = 32, {"proxylessnas": 64}  # which divides it by 32; a single pixel has no statistics


class Tiny(nn.Module):
    def __init__(self, num_classes: int, image_channels: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_channels, 4, 3, 2)
        self.op = OpChoice(
            {"conv": nn.Conv2d(4, 4, 3, padding=1), "bn": nn.BatchNorm2d(4), "skip": nn.Identity()}
        )
        self.source = InputChoice(2)
        self.head = nn.Linear(4, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first = self.stem(images)
        second = self.op(first)
        return self.head(self.source([second, first + second]).mean((2, 3)))


# By the field's name, for spaces and for their networks.
SMALL = {"channels": 4, "layers": 3, "cells": 1, "width": 0.1, "model": Tiny}


def fields_of(component: type[Any]) -> set[str]:
    return {f.name for f in dataclasses.fields(component)}


def small(component: type[Any]) -> dict[str, Any]:
    return {name: value for name, value in SMALL.items() if name in fields_of(component)}


def build(name: str) -> list[SearchSpace]:
    """Return the space in every mode of BatchNorm that it has."""
    component = spaces.get(name)
    modes = [{"bn": mode} for mode in ("batch", "routed")] if "bn" in fields_of(component) else [{}]
    return [component(**small(component), **mode) for mode in modes]


SPACES = [
    pytest.param(space, id=f"{name}{index or ''}")
    for name in spaces.names()
    for index, space in enumerate(build(name))
]


def images(space: SearchSpace) -> torch.Tensor:
    size = SIZES.get(space.registry_name, SIZE)
    return torch.randn(BATCH, 3, size, size, generator=torch.Generator().manual_seed(0))


def drawn(space: SearchSpace, num_samples: int, is_hard: bool) -> Sample:
    policy, generator = (
        Policy(space.choices, space=space.registry_name),
        torch.Generator().manual_seed(num_samples),
    )
    if is_hard:
        return draw_hard(policy, num_samples, generator)
    return draw_relaxed(policy, num_samples, 0.4, generator)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", spaces.names())
def test_a_space_is_called_what_its_file_is_called(name: str) -> None:
    assert build(name)[0].registry_name == name


class Mine(DartsSpace):
    name = "whatever"  # an attribute like any other


def test_a_space_from_outside_is_called_by_its_import_path() -> None:
    space = Mine(channels=2, layers=3)
    assert space.registry_name == f"{__name__}:Mine"
    assert spaces.get(space.registry_name) is Mine
    (genotype,) = drawn(space, 1, is_hard=True).genotypes()
    assert genotype.space == space.registry_name
    space.network(genotype, CLASSES, channels=2, layers=3)


def test_a_space_takes_genotypes_of_the_space_it_derives_from_and_of_no_other() -> None:
    size = {"channels": 2, "layers": 3}
    genotype = load_genotype("UNAS_CIFAR10")
    Mine().network(genotype, CLASSES, **size)
    for space in (Mine(), DartsSpace()):
        with pytest.raises(UserError, match=r"genotype\.space is 'other:Space'"):
            space.network(dataclasses.replace(genotype, space="other:Space"), CLASSES, **size)


@pytest.mark.parametrize("space", SPACES)
def test_drawn_genotypes_are_of_the_space_and_survive_json(space: SearchSpace) -> None:
    for genotype in drawn(space, 20, is_hard=True).genotypes():
        genotype.check(space.choices)
        assert Genotype.from_json(genotype.to_json()) == genotype


@pytest.mark.parametrize("space", SPACES)
def test_choices_are_among_all_choices(space: SearchSpace) -> None:
    every = type(space).choices_like(space.choices)
    for name, options in space.choices.items():
        assert len(set(options)) == len(options) > 0
        assert every is None or set(options) <= set(every[name])


@pytest.mark.parametrize("num_samples", [1, 2, BATCH])
@pytest.mark.parametrize("is_hard", [False, True])
@pytest.mark.parametrize("space", SPACES)
def test_supernet_takes_samples_and_gives_gradients(
    space: SearchSpace, is_hard: bool, num_samples: int
) -> None:
    supernet, sample = space.supernet(CLASSES), drawn(space, num_samples, is_hard)
    groups = [group.detach().requires_grad_() for group in sample.groups]
    logits = supernet(images(space), dataclasses.replace(sample, groups=tuple(groups)))
    assert logits.shape == (BATCH, CLASSES)
    logits.square().sum().backward()
    assert all(
        group.grad is not None and group.grad.isfinite().all() and group.grad.any()
        for group in groups
    )
    trained = [p for p in supernet.parameters() if p.grad is not None and p.grad.any()]
    assert len(trained) > 1
    # The other architectures of a relaxed sample are trained too.
    assert is_hard or len(trained) == sum(1 for _ in supernet.parameters())


@pytest.mark.parametrize("space", SPACES)
def test_images_of_one_architecture_do_not_depend_on_how_often_it_is_listed(
    space: SearchSpace,
) -> None:
    torch.manual_seed(0)
    supernet, once = (
        space.supernet(CLASSES).eval(),
        drawn(space, 1, is_hard=True),
    )  # evaluation: no dropout
    often = dataclasses.replace(
        once, groups=tuple(group.expand(BATCH, -1, -1) for group in once.groups)
    )
    torch.testing.assert_close(supernet(images(space), once), supernet(images(space), often))


@pytest.mark.parametrize("space", SPACES)
def test_network_learns_and_evaluates(space: SearchSpace) -> None:
    torch.manual_seed(0)
    (genotype,) = drawn(space, 1, is_hard=True).genotypes()
    network = space.network(genotype, CLASSES, **small(type(space).network_options))
    optimiser, x, labels = (
        torch.optim.SGD(network.parameters(), 0.01),
        images(space),
        torch.arange(BATCH),
    )
    losses = []
    for _ in range(3):
        loss = nn.functional.cross_entropy(network(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    with torch.no_grad():
        logits = network.eval()(x)
        assert logits.shape == (BATCH, CLASSES)
        torch.testing.assert_close(
            network(x[:1]), logits[:1], rtol=1e-4, atol=1e-5
        )  # no image sees another one
