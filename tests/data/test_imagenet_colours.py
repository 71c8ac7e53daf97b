"""Colour jitter of a batch against torchvision's of one image at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision.transforms.v2.functional as F
from scipy import stats
from torchvision.transforms import v2

from image_tree import photographs
from unas.common.errors import UserError
from unas.data import Augmentation, augment
from unas.data._augment import apply, draw
from unas.data._colour import PARTS, draw_jitter, jitter

STRENGTHS = (0.4, 0.4, 0.4, 0.2)
COLOURS: Any = dict(zip(PARTS, STRENGTHS, strict=True))
THEIRS = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def images(channels: int = 3) -> torch.Tensor:
    """Return images [B, C, 32, 32] from 0 to 1.

    They are photographs, noise, and the greys and corners of the colour cube, whose hue is hard.
    """
    generator = torch.Generator().manual_seed(0)
    shown = [
        F.to_dtype(F.to_image(p.resize((32, 32))), torch.float32, scale=True) for p in photographs()
    ]
    noise = torch.rand(6, 3, 32, 32, generator=generator)
    corners = torch.randint(2, (6, 3, 32, 32), generator=generator).float()
    greys = torch.rand(2, 1, 32, 32, generator=generator).expand(-1, 3, -1, -1)
    return torch.cat((torch.stack(shown), noise, corners, greys))[:, :channels].contiguous()


def one_by_one(
    batch: torch.Tensor, factors: torch.Tensor, orders: torch.Tensor, strengths: tuple[float, ...]
) -> torch.Tensor:
    out = []
    for image, row, order in zip(batch, factors.tolist(), orders.tolist(), strict=True):
        for part in order:
            if strengths[part]:
                image = THEIRS[part](image, row[part])  # noqa: PLW2901
        out.append(image)
    return torch.stack(out)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "strengths", [STRENGTHS, (0, 0, 0, 0.5), (0.9, 0, 0, 0), (0, 2.0, 0, 0), (0, 0, 1.0, 0.1)]
)
def test_jitter_is_torchvisions(strengths: tuple[float, ...], channels: int) -> None:
    batch = images(channels)
    factors, orders = draw_jitter(strengths, len(batch), torch.Generator().manual_seed(1))
    expected = one_by_one(batch, factors, orders, strengths)
    jittered = jitter(batch.clone(), factors, orders, strengths)
    torch.testing.assert_close(jittered, expected, atol=1e-5, rtol=0)
    changes_nothing = channels == 1 and not any(strengths[:2])
    assert changes_nothing or not torch.allclose(jittered, batch, atol=0.01)


def test_a_batch_of_bytes_is_flipped_jittered_and_normalised() -> None:
    batch = (images() * 255).round().byte()
    augmentation = Augmentation(flip=True, cutout=4, **COLOURS)
    drawn = draw(augmentation, len(batch), (32, 32), torch.Generator().manual_seed(2))
    outcome = apply(batch, augmentation, drawn, MEAN, STD)
    flipped = torch.stack(
        [image.flip(2) if flip else image for image, flip in zip(batch, drawn.flips, strict=True)]
    )
    expected = one_by_one(
        F.to_dtype(flipped, torch.float32, scale=True), drawn.factors, drawn.orders, STRENGTHS
    )
    expected = F.normalize(expected, MEAN, STD)
    expected[outcome == 0] = 0  # cutout has its own test
    torch.testing.assert_close(outcome, expected, atol=1e-4, rtol=0)
    assert (outcome == 0).float().mean() < 0.02
    assert outcome.is_contiguous(memory_format=torch.channels_last)


def test_factors_are_distributed_as_torchvisions_and_orders_uniform() -> None:
    count = 4000
    factors, orders = draw_jitter((0.4, 1.5, 0.4, 0.2), count, torch.Generator().manual_seed(3))
    torch.manual_seed(4)
    theirs = v2.ColorJitter(0.4, 1.5, 0.4, 0.2)
    drawn = [theirs.make_params([]) for _ in range(count)]
    for part, name in enumerate(PARTS):
        expected = [params[f"{name}_factor"] for params in drawn]
        assert stats.ks_2samp(factors[:, part].numpy(), expected).pvalue > 1e-3
    kinds = (orders * torch.tensor([64, 16, 4, 1])).sum(1).unique(return_counts=True)[1]
    assert len(kinds) == 24
    assert stats.chisquare(kinds).pvalue > 1e-3


def test_a_part_that_is_off_leaves_the_others_alone() -> None:
    drawn = [
        draw_jitter(s, 50, torch.Generator().manual_seed(5)) for s in (STRENGTHS, (0.4, 0, 0.4, 0))
    ]
    assert torch.equal(drawn[0][0][:, [0, 2]], drawn[1][0][:, [0, 2]])
    assert torch.equal(drawn[0][1], drawn[1][1])
    assert (drawn[1][0][:, 1] == 1).all()
    assert (drawn[1][0][:, 3] == 0).all()


def test_augment_crops_too() -> None:
    batch = (images() * 255).round().byte()
    cropped = augment(
        batch, Augmentation(crop_share=0.1), torch.Generator().manual_seed(0), MEAN, STD
    )
    whole = augment(batch, Augmentation(), torch.Generator().manual_seed(0), MEAN, STD)
    assert cropped.shape == whole.shape
    assert all(not torch.equal(*pair) for pair in zip(cropped[:8], whole[:8], strict=True))


@pytest.mark.parametrize(
    ("field", "value"),
    [("hue", 0.6), ("crop_share", 1.1), ("hue", -0.1), ("brightness", float("nan"))],
)
def test_a_wrong_strength_is_refused(field: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"augmentation.{field} is {value}; it must be"):
        Augmentation(**{field: value})  # type: ignore[arg-type]
