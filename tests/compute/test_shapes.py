"""The shapes in signatures are checked while tests run, in every module that says any."""

from __future__ import annotations

import re
from pathlib import Path

import jaxtyping
import pytest
import torch
from torch import nn

from unas.architecture.policy import Layout, Sample
from unas.compute.runtime import RuntimeConfig
from unas.objectives.base import Evaluation
from unas.searching.losses import Losses
from unas.spaces import ModuleSpace

SOURCE = Path(__file__).parents[2] / "src"
SPACE = ModuleSpace(nn.Linear(1, 1))
SAMPLE = Sample(Layout({"op": ("a", "b")}, "module"), (torch.eye(2)[:, None],), is_hard=True)


class Classifier(nn.Module):
    def forward(self, images: torch.Tensor, _: Sample) -> torch.Tensor:
        return images.flatten(1)


@pytest.fixture
def losses() -> Losses:
    return Losses(Classifier(), RuntimeConfig(device="cpu").build())


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        pytest.param((4, 1, 2, 2), (3,), id="a label is missing"),
        pytest.param((4, 4), (4,), id="no images"),
        pytest.param((4, 1, 2, 2), (4, 1), id="labels in a column"),
    ],
)
def test_wrong_shapes_are_caught(
    losses: Losses, images: tuple[int, ...], labels: tuple[int, ...]
) -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        losses(torch.rand(images), torch.zeros(labels, dtype=torch.int64), SAMPLE)


def test_wrong_types_are_caught(losses: Losses) -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        losses(torch.rand(4, 1, 2, 2), torch.zeros(4), SAMPLE)


def test_fields_are_checked() -> None:
    with pytest.raises(jaxtyping.TypeCheckError):
        Evaluation(SPACE, SAMPLE, torch.rand(4), torch.rand(5))
    with pytest.raises(jaxtyping.TypeCheckError):
        Sample(SAMPLE.layout, (torch.rand(2, 2),), is_hard=True)


def test_right_shapes_pass(losses: Losses) -> None:
    labels = torch.zeros(4, dtype=torch.int64)
    assert losses(torch.rand(4, 1, 2, 2), labels, SAMPLE).shape == (4,)


def test_every_module_that_says_a_shape_is_checked(pytestconfig: pytest.Config) -> None:
    *checked, _ = pytestconfig.getoption("jaxtyping_packages").split(",")
    says_shapes = re.compile(r"^from (jaxtyping|unas\.compute\.shapes) import", re.MULTILINE)
    paths = [path for path in SOURCE.rglob("*.py") if path.stem != "shapes"]
    modules = [
        ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for path in paths
        if says_shapes.search(path.read_text(encoding="utf-8"))
    ]
    assert len(modules) > 10
    unchecked = [
        module
        for module in modules
        if not any(f"{module}.".startswith(f"{package}.") for package in checked)
    ]
    assert not unchecked
