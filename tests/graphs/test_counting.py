"""The two rules of counting, against what a pencil gives."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unas.graphs.counting import count_by

IMAGE = (2, 8, 8)


class GlobalPooling(nn.Module):
    def forward(self, state: Tensor) -> Tensor:
        return state.mean((2, 3))


def test_published_rule_adds_relus_poolings_and_affine_batch_norms() -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.BatchNorm2d(4, affine=False),
        nn.MaxPool2d(2),
        nn.AvgPool2d(2),
        nn.ReLU6(),
        GlobalPooling(),
        nn.Linear(4, 3),
    )
    products = 4 * 64 * 2 * 9 + 4 * 3
    batch_norm, relu = 2 * 4 * 64, 4 * 64
    max_pool, average_pool, relu6, global_pool = 4 * 64, 4 * 16, 4 * 4, 4 * 4
    besides = batch_norm + relu + max_pool + average_pool + relu6 + global_pool
    assert count_by("products", network, IMAGE) == products
    assert count_by("published", network, IMAGE) == products + besides


def test_a_mean_over_anything_but_the_image_is_no_pooling() -> None:
    class Means(nn.Module):
        def forward(self, state: Tensor) -> Tensor:
            return state.mean((1, 2)) + state.mean(1, keepdim=True).mean((1, 3)) + state.mean()

    assert count_by("published", Means(), IMAGE) == 0


def test_global_pooling_is_the_same_however_it_is_written() -> None:
    adaptive = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    negative = nn.Sequential(Reduced((-1, -2)), nn.Identity())
    for network in (adaptive, negative, GlobalPooling()):
        assert count_by("published", network, IMAGE) == 2 * 64
        assert network(torch.zeros(1, *IMAGE)).shape == (1, 2)


class Reduced(nn.Module):
    def __init__(self, dimensions: tuple[int, int]) -> None:
        super().__init__()
        self.dimensions = dimensions

    def forward(self, state: Tensor) -> Tensor:
        return state.mean(self.dimensions)
