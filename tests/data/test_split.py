"""The split and the containers: what every training run rests on."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from unas.common.errors import UserError
from unas.data import ImageData, ImagesInMemory, split

SQUARE = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)


def numbered(labels: torch.Tensor) -> ImagesInMemory:
    """Images whose first pixels spell their own number."""
    number = torch.arange(len(labels))
    images = torch.stack((number // 256, number % 256), dim=1).to(torch.uint8).view(-1, 1, 1, 2)
    return ImagesInMemory(images, labels)


def numbers(image_set: ImagesInMemory) -> list[int]:
    high, low = image_set.images.flatten(1).long().unbind(1)
    return (high * 256 + low).tolist()


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("classes", [1, 10, 100])
def test_split_is_a_stratified_partition(fraction: float, classes: int) -> None:
    labels = torch.randint(classes, (1797,), generator=torch.Generator().manual_seed(classes))
    train, validation = split(numbered(labels), fraction, seed=4)
    assert sorted(numbers(train) + numbers(validation)) == list(range(1797))
    assert len(validation) == round(1797 * fraction)
    for part in (train, validation):
        assert torch.equal(part.labels, labels[torch.tensor(numbers(part))])
    share = labels.bincount(minlength=classes) * fraction
    assert ((validation.labels.bincount(minlength=classes) - share).abs() < 1 + 1e-3).all()


def test_split_depends_on_the_seed_alone() -> None:
    image_set = numbered(torch.arange(500) % 10)
    torch.manual_seed(1)
    validation = numbers(split(image_set, 0.1, seed=1)[1])
    torch.manual_seed(2)
    assert numbers(split(image_set, 0.1, seed=1)[1]) == validation
    assert numbers(split(image_set, 0.1, seed=2)[1]) != validation


def test_every_image_is_equally_likely_to_validate() -> None:
    image_set = numbered(torch.arange(100) % 5)
    counts = torch.zeros(100)
    for seed in range(1000):
        counts[torch.tensor(numbers(split(image_set, 0.2, seed)[1]))] += 1
    # Binomial(1000, 0.2): standard deviation 12.6.
    assert ((counts - 200).abs() < 4.5 * 12.6).all()


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, 0.01, float("nan")])
def test_an_empty_part_is_refused(fraction: float) -> None:
    with pytest.raises(UserError, match=r"validation_fraction is .* of 20 images"):
        split(numbered(torch.zeros(20, dtype=torch.long)), fraction, seed=0)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(3, 1, 2, 2), torch.zeros(3).long(), "images are torch.float32 [3, 1, 2, 2]"),
        (torch.zeros(3, 2, 2).byte(), torch.zeros(3).long(), "images are torch.uint8 [3, 2, 2]"),
        (torch.zeros(3, 1, 2, 2).byte(), torch.zeros(2).long(), "labels are torch.int64 [2]"),
        (torch.zeros(3, 1, 2, 2).byte(), torch.zeros(3), "labels are torch.float32 [3]"),
    ],
)
def test_image_set_refuses_what_is_none(
    images: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        ImagesInMemory(images, labels)


def test_image_set_is_indexed_and_moved() -> None:
    image_set = numbered(torch.arange(10))
    assert numbers(image_set.subset(torch.tensor([7, 2]))) == [7, 2]
    moved = image_set.to("meta")
    assert moved.images.device.type == moved.labels.device.type == "meta"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test": numbered(torch.tensor([0, 3]))}, "test has the label 3; labels are 0 … 2"),
        ({"train": numbered(torch.tensor([-1, 0]))}, "train has the label -1"),
        ({"train": numbered(torch.tensor([], dtype=torch.long))}, "train has no images"),
        ({"mean": (0.1, 0.2)}, "2 means and 1 standard deviations for 1 channels"),
        ({"class_names": ("a",)}, "1 class names for 3 classes"),
        ({"test": ImagesInMemory(SQUARE, torch.tensor([0]))}, "test images are [1, 2, 2]"),
    ],
)
def test_image_data_refuses_parts_that_do_not_fit(change: dict[str, Any], message: str) -> None:
    part = numbered(torch.tensor([0, 1, 2]))
    fields: dict[str, Any] = {
        "name": "mine", "train": part, "test": part, "num_classes": 3,
        "mean": (0.5,), "std": (0.5,), "class_names": ("a", "b", "c"),
    }  # fmt: skip
    assert ImageData(**fields).image_shape == (1, 1, 2)
    with pytest.raises(UserError, match=re.escape(f"mine: {message}")):
        ImageData(**{**fields, **change})
