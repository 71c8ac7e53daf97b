"""A model whose images don't see each other: with it, several processes do exactly what one does."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from torch import Tensor, nn

from tiny import tiny_recipe
from unas.config import Config
from unas.data import Augmentation
from unas.nn.choice import InputChoice, OpChoice
from unas.objectives import Term
from unas.objectives.cross_entropy import CrossEntropy
from unas.objectives.generalisation_gap import GeneralisationGap
from unas.searching.choosing import ChoosingConfig
from unas.spaces import NetworkOptions
from unas.spaces.module import ModuleSpace


class PlainModel(nn.Module):
    """Convolutions with bias, no BatchNorm, no dropout; three choices of two sizes."""

    def __init__(self, image_channels: int = 1, num_classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(image_channels, 4, 3, padding=1)
        self.first = OpChoice(
            {
                "conv3": nn.Conv2d(4, 4, 3, padding=1),
                "skip": nn.Identity(),
                "conv1": nn.Conv2d(4, 4, 1),
            }
        )
        self.second = OpChoice(
            {
                "conv3": nn.Conv2d(4, 4, 3, padding=1),
                "pool": nn.AvgPool2d(3, 1, 1),
                "relu": nn.ReLU(),
            }
        )
        self.source = InputChoice(2)
        self.head = nn.Linear(4, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        stem = self.stem(images).relu()
        first = self.first(stem)
        second = self.second(first).relu()
        features: Tensor = self.source([first, second])
        return cast("Tensor", self.head(features.mean((2, 3))))


def plain_recipe() -> Config:
    """Return a tiny run of this model: everything random that doesn't depend on the number of
    processes.
    """
    tiny = tiny_recipe()
    objectives: dict[str, Term] = {"cross_entropy": CrossEntropy(), "gap": GeneralisationGap()}
    return replace(
        tiny,
        space=ModuleSpace(PlainModel),
        network=NetworkOptions(),
        search=replace(
            tiny.search, objectives=objectives, augmentation=Augmentation(crop_padding=1, cutout=2)
        ),
        choosing=ChoosingConfig(candidates=3, finalists=3, finalist_share=4.0),
    )
