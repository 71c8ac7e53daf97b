"""Batched augmentation against torchvision's transforms of one image at a time."""

from __future__ import annotations

import pytest
import torch
import torchvision.transforms.v2.functional as F
from scipy import stats

from unas.common.errors import UserError
from unas.data import Augmentation, augment, normalise
from unas.data._augment import Decisions, apply, draw

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


def random_images(
    batch: int, channels: int = 3, height: int = 32, width: int = 32, seed: int = 0
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(
        256, (batch, channels, height, width), dtype=torch.uint8, generator=generator
    )


def one_by_one(
    image: torch.Tensor,
    augmentation: Augmentation,
    offset: torch.Tensor,
    flip: bool,
    centre: torch.Tensor,
) -> torch.Tensor:
    """The usual pipeline: pad, crop, mirror, to float, normalise; then cutout as DARTS does it."""
    height, width = image.shape[1:]
    image = F.pad(image, [augmentation.crop_padding] * 4)
    image = F.crop(image, *offset.tolist(), height, width)
    if flip:
        image = F.horizontal_flip(image)
    image = F.normalize(
        F.to_dtype(image, torch.float32, scale=True), MEAN[: len(image)], STD[: len(image)]
    )
    half = augmentation.cutout // 2
    y, x = centre.tolist()
    image[:, max(y - half, 0) : min(y + half, height), max(x - half, 0) : min(x + half, width)] = 0
    return image


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (8, 8), (9, 14)])
@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(),
        Augmentation(crop_padding=4),
        Augmentation(flip=True),
        Augmentation(cutout=16),
        Augmentation(crop_padding=2, flip=True, cutout=6),
        Augmentation(crop_padding=40, flip=True, cutout=100),
    ],
)
def test_equals_torchvision_bit_for_bit(
    augmentation: Augmentation, channels: int, height: int, width: int
) -> None:
    images = random_images(64, channels, height, width)
    decisions = draw(augmentation, 64, (height, width), torch.Generator().manual_seed(1))
    out = apply(images, augmentation, decisions, MEAN[:channels], STD[:channels])
    expected = [
        one_by_one(image, augmentation, *row)
        for image, *row in zip(images, *decisions[:3], strict=True)
    ]
    assert torch.equal(out, torch.stack(expected))
    assert out.dtype == torch.float32
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_input_is_left_alone() -> None:
    images = random_images(8)
    before = images.clone()
    augmentation = Augmentation(crop_padding=4, flip=True, cutout=8)
    augment(images, augmentation, torch.Generator().manual_seed(0), MEAN, STD)
    assert torch.equal(images, before)


def test_randomness_is_uniform_and_independent() -> None:
    """Offsets on 9 × 9 places, fair flips, cutout centres on 32 × 32 pixels, none related."""
    drawn = draw(
        Augmentation(4, flip=True, cutout=16), 40_960, (32, 32), torch.Generator().manual_seed(3)
    )
    places = drawn.offsets[:, 0] * 9 + drawn.offsets[:, 1]
    assert stats.chisquare(places.bincount(minlength=81)).pvalue > 1e-3
    assert stats.chisquare(drawn.flips.bincount(minlength=2)).pvalue > 1e-3
    pixels = drawn.centres[:, 0] * 32 + drawn.centres[:, 1]
    assert stats.chisquare(pixels.bincount(minlength=1024)).pvalue > 1e-3
    columns = torch.cat((drawn.offsets, drawn.flips[:, None], drawn.centres), dim=1).double()
    related = torch.corrcoef(columns.T) - torch.eye(5)
    assert related.abs().max() < 4 / len(columns) ** 0.5


def test_mean_image_is_that_of_every_crop_and_flip() -> None:
    """The mean over many draws is that over all 25 × 2 outcomes of torchvision's transforms."""
    image = random_images(1, height=6, width=6)
    augmentation = Augmentation(crop_padding=2, flip=True)
    outcomes = torch.stack([
        one_by_one(image[0], augmentation, torch.tensor([y, x]), flip, torch.tensor([0, 0]))
        for y in range(5) for x in range(5) for flip in (False, True)
    ])  # fmt: skip
    draws = 20_000
    out = augment(
        image.expand(draws, -1, -1, -1), augmentation, torch.Generator().manual_seed(0), MEAN, STD
    )
    error = outcomes.std(dim=0, correction=0) / draws**0.5
    assert ((out.mean(dim=0) - outcomes.mean(dim=0)).abs() < 5 * error + 1e-5).all()


@pytest.mark.parametrize("side", [1, 2, 5, 16])
def test_cutout_removes_a_square_cut_at_the_border(side: int) -> None:
    """Counted pixel by pixel, within the image: `side` rows and columns.

    They begin side // 2 before the centre.
    """
    centres = torch.cartesian_prod(torch.arange(20), torch.arange(20))
    zeros = torch.zeros(400, dtype=torch.long)
    images = torch.full((400, 1, 20, 20), 255, dtype=torch.uint8)
    offsets = torch.zeros(400, 2, dtype=torch.long)
    decisions = Decisions(
        offsets, zeros, centres, torch.ones(400, 4), torch.arange(4).expand(400, 4)
    )
    removed = (apply(images, Augmentation(cutout=side), decisions, (0.5,), (0.5,)) == 0).sum(
        dim=(1, 2, 3)
    )
    start = centres - side // 2
    inside = (start + side).clamp(max=20) - start.clamp(min=0)
    assert torch.equal(removed, inside.prod(dim=1))
    assert int(removed.max()) == side * side


def test_a_part_that_is_off_leaves_the_others_numbers_alone() -> None:
    seeds = [torch.Generator().manual_seed(5) for _ in range(2)]
    everything = draw(Augmentation(4, flip=True, cutout=16), 50, (32, 32), seeds[0])
    no_flip = draw(Augmentation(4, flip=False, cutout=8), 50, (32, 32), seeds[1])
    assert torch.equal(everything.offsets, no_flip.offsets)
    assert torch.equal(everything.centres, no_flip.centres)
    assert not no_flip.flips.any()


def test_normalise_equals_torchvision() -> None:
    images = random_images(5)
    expected = F.normalize(F.to_dtype(images, torch.float32, scale=True), MEAN, STD)
    assert torch.equal(normalise(images, MEAN, STD), expected)


@pytest.mark.parametrize("field", ["crop_padding", "cutout"])
def test_a_negative_size_is_refused(field: str) -> None:
    with pytest.raises(
        UserError, match=rf"augmentation.{field} is -1; it must be 0 \(off\) or more"
    ):
        Augmentation(**{field: -1})  # type: ignore[arg-type]
