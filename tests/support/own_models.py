"""Small models of one's own, usual and mistaken, for runs of a few seconds on 8 by 8 digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from tiny import tiny_recipe
from unas.config import Config
from unas.nn.choice import OpChoice
from unas.searching.choosing import ChoosingConfig
from unas.spaces import ModuleSpace, NetworkOptions


def config_of(model: Callable[..., nn.Module]) -> Config:
    """Return a run of a few steps whose space is a model's."""
    tiny = tiny_recipe()
    terms = {name: term for name, term in tiny.search.objectives.items() if name != "overlap"}
    search = replace(tiny.search, objectives=terms, warm_up_epochs=0, epochs=1)
    training = replace(tiny.training, warm_up_epochs=0, epochs=1)
    return replace(
        tiny,
        space=ModuleSpace(model),
        network=NetworkOptions(),
        search=search,
        choosing=ChoosingConfig(candidates=0),
        training=training,
    )


def convolutions(channels: int = 8) -> OpChoice:
    """Return a choice between convolutions of two sizes."""
    options: dict[str, nn.Module] = {}
    for size in (1, 3):
        convolution = nn.Conv2d(channels, channels, size, padding=size // 2)
        options[f"k{size}"] = nn.Sequential(convolution, nn.BatchNorm2d(channels))
    return OpChoice(options)


class Usual(nn.Module):
    """A stem, a choice, a head: what the others change in one place."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_channels, 8, 3, padding=1)
        self.block = convolutions()
        self.head = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.block(self.stem(images)).mean((2, 3)))
        return logits


class SharedBlock(Usual):
    """One module at two places."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.again = self.block

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.again(self.block(self.stem(images))).mean((2, 3)))
        return logits


class SharedWeight(Usual):
    """One weight in two layers."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.twin = nn.Linear(8, num_classes)
        self.twin.weight = self.head.weight

    def forward(self, images: Tensor) -> Tensor:
        features = self.block(self.stem(images)).mean((2, 3))
        logits: Tensor = self.head(features) + self.twin(features.relu())
        return logits


class SharedBuffer(Usual):
    """A buffer that is a view of another one."""

    scale: Tensor
    part: Tensor

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.register_buffer("scale", torch.ones(2, num_classes))
        self.register_buffer("part", self.scale[:1])

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = super().forward(images) * self.part
        return logits


class SharedOption(nn.Module):
    """One module as an option of two choices."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_channels, 8, 3, padding=1)
        shared = nn.Conv2d(8, 8, 3, padding=1)
        self.first = OpChoice({"shared": shared, "skip": nn.Identity()})
        self.second = OpChoice({"shared": shared, "pool": nn.AvgPool2d(3, 1, 1)})
        self.head = nn.Linear(8, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        features = self.second(self.first(self.stem(images)))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class GrowingDropRate(Usual):
    """Reads a tensor while it is built: the usual way to let a rate grow with depth."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        rates = [rate.item() for rate in torch.linspace(0, 0.2, 3)]
        self.dropout = nn.Dropout(rates[-1])

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.block(self.stem(images)).mean((2, 3))))
        return logits


class ListOfTensor(Usual):
    """Makes a Python list of a tensor while it is built."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.powers = torch.arange(1, 3).tolist()

    def forward(self, images: Tensor) -> Tensor:
        outcome: Tensor = super().forward(images) * self.powers[0]
        return outcome


class ArrayOfTensor(Usual):
    """Makes a NumPy array of a weight while it is built."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.largest = float(self.head.weight.detach().numpy().max())

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) / self.largest


class BranchOnTensor(Usual):
    """Decides by the value of a tensor while it is built."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        if self.head.weight.abs().max() > 0:
            self.head.register_parameter("bias", None)


class TensorOnCpu(Usual):
    """Has a plain tensor on a device of its own choice."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.scale = torch.ones(1, 8, 1, 1, device="cpu")

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head((self.block(self.stem(images)) * self.scale).mean((2, 3)))
        return logits


class FrozenStem(Usual):
    """A stem that isn't trained."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.stem.requires_grad_(False)


class FrozenOption(Usual):
    """An option that isn't trained."""

    def __init__(self, num_classes: int = 10, image_channels: int = 1) -> None:
        super().__init__(num_classes, image_channels)
        self.block.candidates[0].requires_grad_(False)
