"""A step of training from scratch, with its batch, beside the usual loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import unas
from speed.arithmetic import ROOFLINE, measure, of_training
from speed.plain_network import PlainNetwork
from speed.section import Section, Settings
from speed.turns import Timed, clocked, in_turn
from unas.architecture.genotype import Genotype
from unas.architecture.published import load_genotype
from unas.data import Augmentation, BatchStream
from unas.data._images_in_memory import ImagesInMemory
from unas.data.base import Normalisation
from unas.spaces.darts import DartsSpace
from unas.training import TrainingConfig, TrainingStep

BATCHES = 8  # of random images, over and over


@dataclass(frozen=True)
class Case:
    """A network and the images that it learns from.

    Args:
        name: of both.
        genotype: the architecture.
        channels: C of the network.
        layers: its cells.
        image_shape: (channels, height, width).
        batch: images a step.
        augmentation: padding and crop, and perhaps flips.
    """

    name: str
    genotype: Genotype
    channels: int
    layers: int
    image_shape: tuple[int, int, int]
    batch: int
    augmentation: Augmentation

    @property
    def normalisation(self) -> Normalisation:
        """The same for all channels."""
        channels = self.image_shape[0]
        return Normalisation((0.5,) * channels, (0.25,) * channels)

    def images(self) -> ImagesInMemory:
        """Return random images: what they show takes no time."""
        count = BATCHES * self.batch
        shape = (count, *self.image_shape)
        images = torch.randint(0, 256, shape, dtype=torch.uint8)
        return ImagesInMemory(images, torch.arange(count) % 10)


def cases(settings: Settings) -> list[Case]:
    """Return the two networks: that of the paper for CIFAR-10, and one of the digits recipe."""
    cifar10 = Case(
        f"`UNAS_CIFAR10`, C {settings.channels}, L {settings.layers}, B {3 * settings.batch}",
        load_genotype("UNAS_CIFAR10"),
        settings.channels,
        settings.layers,
        (3, 32, 32),
        3 * settings.batch,
        Augmentation(crop_padding=4, flip=True),
    )
    recipe: Any = unas.recipe("digits")
    choices = recipe.space.choices
    # Inputs and operations in turn, so that all of them are there.
    picks = {}
    for number, (choice, options) in enumerate(choices.items()):
        picks[choice] = options[number % len(options)]
    digits = Case(
        f"digits, C {recipe.network.channels}, L {recipe.network.layers}, "
        f"B {recipe.training.batch_size}",
        Genotype("darts", picks),
        recipe.network.channels,
        recipe.network.layers,
        (1, 8, 8),
        recipe.training.batch_size,
        recipe.training.augmentation,
    )
    return [cifar10, digits]


class _Pictures(Dataset[tuple[Any, int]]):
    """Images one at a time, as torchvision's data sets give them."""

    def __init__(self, images: ImagesInMemory, transform: Callable[[Any], Tensor]) -> None:
        arrays = images.images.permute(0, 2, 3, 1).squeeze(-1).numpy()
        self.pictures = [Image.fromarray(array) for array in arrays]
        self.labels = images.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pictures[index]), self.labels[index]


def _endless(loader: DataLoader[Any]) -> Iterator[Any]:
    while True:
        yield from loader


class PlainTraining:
    """The usual loop: a `DataLoader` of transformed images, NCHW, SGD.

    Args:
        case: the network, and how images are augmented.
        images: what it learns from.
        device: where it computes.
    """

    def __init__(self, case: Case, images: ImagesInMemory, device: torch.device) -> None:
        parts: list[Any] = [
            transforms.RandomCrop(case.image_shape[1], padding=case.augmentation.crop_padding)
        ]
        if case.augmentation.flip:
            parts.append(transforms.RandomHorizontalFlip())
        mean, std = case.normalisation.mean, case.normalisation.std
        parts += [transforms.ToTensor(), transforms.Normalize(mean, std)]
        pictures = _Pictures(images, transforms.Compose(parts))
        self._batches = _endless(DataLoader(pictures, case.batch, shuffle=True, drop_last=True))
        self._device = device
        self._clip_norm = TrainingConfig().clip_norm
        network = PlainNetwork(case.genotype, case.channels, case.layers, 10, case.image_shape[0])
        self.network = network.to(device)
        config = TrainingConfig()
        self._optimiser = torch.optim.SGD(
            network.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay
        )

    def step(self, lr: float = TrainingConfig().lr) -> None:
        """Read a batch, and update the weights on it."""
        images, labels = next(self._batches)
        self._optimiser.param_groups[0]["lr"] = lr
        self._optimiser.zero_grad()
        loss = F.cross_entropy(self.network(images.to(self._device)), labels.to(self._device))
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self._clip_norm)
        self._optimiser.step()
        loss.item()


def our_network(case: Case) -> nn.Module:
    """Return the network as a run trains it, without auxiliary head and drop-path."""
    return DartsSpace().network(
        case.genotype,
        10,
        case.image_shape[0],
        channels=case.channels,
        layers=case.layers,
        auxiliary=False,
        drop_path=0.0,
    )


def our_step(case: Case, settings: Settings) -> tuple[Callable[[], None], nn.Module]:
    """Return a step of a run's training with its batch, and the network."""
    recipe = unas.recipe("cifar10")
    runtime = replace(recipe.runtime, device=str(settings.device), precision="float32").build()
    training = TrainingStep(our_network(case), TrainingConfig(), runtime, 0, BATCHES)
    stream = BatchStream(
        case.images().to(settings.device),
        case.batch,
        case.augmentation,
        case.normalisation,
        seed=0,
        stream="benchmark",
    )
    number = 0

    def step() -> None:
        nonlocal number
        training(number, *stream.batch(number))
        number += 1

    return step, training.network


def training(settings: Settings) -> Section:
    """Time a step of two trainings beside the usual loop."""
    machine = measure(settings.device)
    rows = []
    figures = {}
    for case in cases(settings):
        step, network = our_step(case, settings)
        usual = PlainTraining(case, case.images(), settings.device)
        plain = f"{case.name}, the usual loop"
        timed: dict[str, Timed] = {
            plain: clocked(usual.step, settings.device),
            case.name: clocked(step, settings.device),
        }
        amount = of_training(network, torch.empty(case.batch, *case.image_shape))
        turns = in_turn(timed, settings.pairs)
        for name in timed:
            roofline = machine.cells(amount, turns.median(name))
            rows.append((name, *turns.cells(name, plain), *roofline))
        figures[case.name] = turns.seconds
    return Section(
        "Training from scratch beside the usual loop",
        "Batch and step. The usual loop is the same network of PyTorch's own layers in NCHW, and a "
        "`DataLoader` without workers whose images go through torchvision's transforms one by one; "
        f"both crop, flip (not digits), normalise and clip. Float32, medians of {settings.pairs} "
        f"pairs. {machine.describe()}",
        ("", "median step", "ratio", "least to largest", *ROOFLINE),
        rows,
        figures,
    )
