"""The losses of a supernet: what is said where there are none."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from unas.architecture.policy import Layout, Sample
from unas.common.errors import UserError
from unas.compute.runtime import RuntimeConfig
from unas.nn.choice import OpChoice
from unas.searching.losses import Losses
from unas.spaces import ModuleSpace


def routed() -> nn.Module:
    def option() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4))

    choice = OpChoice({"a": option(), "b": option()}, name="op", bn="routed")
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), choice, nn.Flatten())


def test_a_group_of_one_image_of_one_pixel_is_one_line() -> None:
    space = ModuleSpace(routed())
    losses = Losses(space.supernet(4, 1), RuntimeConfig(device="cpu").build())
    layout = Layout(space.choices, space.registry_name)
    alone = torch.eye(2)[[0, 1, 1, 1]]
    sample = Sample(layout, layout.stack({"op": alone}), is_hard=True)
    with pytest.raises(UserError, match=r"one image of one pixel.*docs/bn\.md"):
        losses.logits(torch.rand(4, 1, 8, 8), sample)
    assert losses.logits(torch.rand(4, 1, 8, 8), sample.select([0, 0, 1, 1])).shape == (4, 4)
