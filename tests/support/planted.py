"""A model with one choice in which one option is clearly better, and data that it can learn."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unas.compute.runtime import RuntimeConfig
from unas.nn.choice import OpChoice
from unas.objectives.cross_entropy import CrossEntropy
from unas.objectives.generalisation_gap import GeneralisationGap
from unas.searching.config import AdamConfig, SearchConfig
from unas.searching.step import SearchStep
from unas.spaces.module import ModuleSpace

B = 8
CHOICE = "2"


class Zero(nn.Module):
    """An operation that tells nothing about its input."""

    def forward(self, images: Tensor) -> Tensor:
        return images * 0


def planted() -> nn.Module:
    """Return a model with one choice of three, in which one option is clearly better."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        OpChoice({"zero": Zero(), "also_zero": Zero(), "good": nn.ReLU()}),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )


CONFIG = SearchConfig(
    batch_size=B,
    objectives={"cross_entropy": CrossEntropy(), "gap": GeneralisationGap()},
    weights=AdamConfig(lr=2e-2, final_lr=1e-3, weight_decay=0.0),
    policy=AdamConfig(lr=1e-1, final_lr=1e-2, weight_decay=0.0),
)


def build(config: SearchConfig = CONFIG, total_steps: int | None = None) -> SearchStep:
    return SearchStep(
        ModuleSpace(planted),
        config,
        2,
        1,
        RuntimeConfig(device="cpu").build(),
        seed=1,
        total_steps=total_steps,
    )


def batch(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return noise of two strengths, which tell the two classes apart."""
    generator = torch.Generator().manual_seed(seed)
    y, y_val = torch.randint(2, (2, B), generator=generator)
    x, x_val = torch.randn(2, B, 1, 6, 6, generator=generator)
    strength = torch.tensor([0.3, 3.0])
    return (
        x * strength[y][:, None, None, None],
        y,
        x_val * strength[y_val][:, None, None, None],
        y_val,
    )
