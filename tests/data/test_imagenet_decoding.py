"""One file as a square of bytes, against torchvision and Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as F
from PIL import Image, ImageOps
from scipy import stats
from torchvision.transforms import v2

from image_tree import photographs
from unas.data import _decode
from unas.data._crops import Box, Crops, crop_batch, draw_crops
from unas.data._decode import read_view


def pixels(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def psnr(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    return 10 * np.log10(255**2 / np.square(one.astype(float) - other).mean())


def one_crop(top: int, left: int, height: int, width: int, size: tuple[int, int]) -> Crops:
    """Return a drawn crop that is this box of an image of a size (height, width)."""
    area, places = height * width / (size[0] * size[1]), []
    for start, length, whole in ((top, height, size[0]), (left, width, size[1])):
        places.append((start + 0.5) / (whole - length + 1))
    shares, ratios = torch.full((1, 10), area), torch.full((1, 10), width / height)
    return Crops(shares.double(), ratios.double(), torch.tensor([places], dtype=torch.float64))


@pytest.mark.parametrize(
    ("size", "side", "resized"), [((90, 70), 56, 64), ((33, 80), 32, 37), ((300, 299), 224, 256)]
)
def test_evaluation_is_torchvisions_resize_and_centre_crop(
    size: tuple[int, int], side: int, resized: int, tmp_path: Path
) -> None:
    image = photographs()[0].resize(size)
    image.save(tmp_path / "x.png")
    expected = F.center_crop(F.resize(pixels(image), [resized], antialias=True), [side, side])
    assert np.array_equal(read_view(tmp_path / "x.png", side), expected.permute(1, 2, 0))


@pytest.mark.parametrize("size", [(600, 6), (601, 6), (7, 1000)])
def test_the_middle_of_a_very_long_image_is_the_same_without_the_rest(
    size: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = photographs()[0].resize(size)
    image.save(tmp_path / "x.png")
    resized = F.resize(pixels(image), [37], antialias=True)
    expected = F.center_crop(resized, [32, 32]).permute(1, 2, 0).numpy()
    interpolate = torch.nn.functional.interpolate
    sizes = []

    def counted(image: torch.Tensor, size: tuple[int, int], **how: Any) -> torch.Tensor:
        sizes.append(size)
        return interpolate(image, size, **how)

    monkeypatch.setattr(torch.nn.functional, "interpolate", counted)
    view = read_view(tmp_path / "x.png", 32)
    assert np.abs(view.astype(float) - expected).max() <= 4
    assert max(sizes[0]) <= 33 * 37


def test_a_crop_is_torchvisions_resized_crop(tmp_path: Path) -> None:
    photographs()[1].save(tmp_path / "x.jpg")
    box = (20, 30, 200, 180)
    view = read_view(tmp_path / "x.jpg", 96, one_crop(*box, (427, 640)))
    with Image.open(tmp_path / "x.jpg") as image:
        expected = F.resized_crop(pixels(image), *box, [96, 96], antialias=True)
    assert np.array_equal(view, expected.permute(1, 2, 0))


def test_images_in_memory_are_cropped_alike() -> None:
    images = torch.stack([pixels(photograph.resize((50, 40))) for photograph in photographs()])
    crops = draw_crops(0.1, 2, torch.Generator().manual_seed(0))
    expected = [
        F.resized_crop(image, *crops.box(row, 40, 50), [40, 50]) for row, image in enumerate(images)
    ]
    assert torch.equal(crop_batch(images, crops), torch.stack(expected))


@pytest.mark.parametrize(("height", "width"), [(375, 500), (500, 375), (60, 600), (600, 60)])
def test_crops_are_distributed_as_torchvisions(height: int, width: int) -> None:
    count = 1500
    crops = draw_crops(0.08, count, torch.Generator().manual_seed(1))
    ours = np.array([crops.box(row, height, width) for row in range(count)])
    torch.manual_seed(2)
    theirs, image = v2.RandomResizedCrop(224), torch.empty(3, height, width)
    drawn = [theirs.make_params([image]) for _ in range(count)]
    expected = np.array([[params[name] for name in Box._fields] for params in drawn])
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], expected[:, column]).pvalue > 1e-3
    assert stats.ks_2samp(ours[:, 2] * ours[:, 3], expected[:, 2] * expected[:, 3]).pvalue > 1e-3
    assert (ours[:, 0] + ours[:, 2] <= height).all()
    assert (ours[:, 1] + ours[:, 3] <= width).all()
    assert ours.min(0).tolist()[:2] >= [0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.webp"])
def test_images_are_turned_upright(orientation: int, name: str, tmp_path: Path) -> None:
    image, exif = photographs()[0].resize((60, 40)), Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / name, exif=exif, lossless=True)
    with Image.open(tmp_path / name) as stored:
        ImageOps.exif_transpose(stored).convert("RGB").save(tmp_path / "upright.png")
    assert np.array_equal(read_view(tmp_path / name, 32), read_view(tmp_path / "upright.png", 32))
    crop = draw_crops(0.3, 1, torch.Generator().manual_seed(0))
    assert np.array_equal(
        read_view(tmp_path / name, 16, crop), read_view(tmp_path / "upright.png", 16, crop)
    )


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("L", "x.jpg"),
        ("CMYK", "x.jpg"),
        ("P", "x.png"),
        ("1", "x.png"),
        ("RGBA", "x.webp"),
        ("RGBA", "x.png"),
        ("LA", "x.png"),
    ],
)
def test_every_mode_becomes_rgb(mode: str, name: str, tmp_path: Path) -> None:
    """Equal to Pillow's own conversion of the file, and near to what was written."""
    image = photographs()[1].resize((64, 64)).convert(mode)
    image.save(tmp_path / name)
    view = read_view(tmp_path / name, 56)
    with Image.open(tmp_path / name) as again:
        again.convert("RGB").save(tmp_path / "rgb.png")
    assert np.array_equal(view, read_view(tmp_path / "rgb.png", 56))
    plain = F.center_crop(pixels(image.convert("RGB")), [56, 56]).permute(1, 2, 0).numpy()
    assert np.abs(view.astype(float) - plain).mean() < 8


def test_sixteen_bits_of_grey_keep_the_upper_ones(tmp_path: Path) -> None:
    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16
    Image.fromarray(values).save(tmp_path / "x.png")
    Image.fromarray((values >> 8).astype(np.uint8)).save(tmp_path / "y.png")
    with Image.open(tmp_path / "x.png") as image:
        assert image.mode.startswith("I")
    assert np.array_equal(read_view(tmp_path / "x.png", 56), read_view(tmp_path / "y.png", 56))


def test_a_palette_with_transparency_needs_no_warning(tmp_path: Path) -> None:
    image = photographs()[1].resize((64, 64)).convert("P")
    image.save(tmp_path / "x.png", transparency=bytes(range(256)))
    image.save(tmp_path / "y.png")
    assert np.array_equal(read_view(tmp_path / "x.png", 56), read_view(tmp_path / "y.png", 56))


def test_decoding_at_a_smaller_size_is_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is nearer to full decoding than the bilinear filter is to the bicubic one."""
    sizes, reduce = [], _decode._reduce

    def reduced(image: Image.Image, times: int) -> None:
        reduce(image, times)
        sizes.append(image.width)

    for number, photograph in enumerate(photographs()):
        path = tmp_path / f"{number}.jpg"
        photograph.save(path, quality=90)
        with Image.open(path) as image:
            whole = image.resize((96, 64), Image.Resampling.BILINEAR)
            bicubic = np.asarray(image.resize((96, 64), Image.Resampling.BICUBIC))
        monkeypatch.setattr(_decode, "_reduce", reduced)
        # Multiples of 8, so that the part is the same one at an eighth of the size.
        crop = one_crop(16, 32, 400, 400, (427, 640))
        views = [read_view(path, 48), read_view(path, 40, crop)]
        monkeypatch.setattr(_decode, "_reduce", lambda *_: None)
        full = [read_view(path, 48), read_view(path, 40, crop)]
        for fast, slow in zip(views, full, strict=True):
            assert psnr(fast, slow) > max(38, psnr(np.asarray(whole), bicubic))
    assert set(sizes) == {160, 320}


def test_no_more_than_needed_is_reduced(tmp_path: Path) -> None:
    """A JPEG below four times the wanted size is decoded whole: torchvision's, bit for bit."""
    photographs()[0].save(tmp_path / "x.jpg")
    with Image.open(tmp_path / "x.jpg") as image:
        expected = F.resize(pixels(image), [128], antialias=True)
    expected = F.center_crop(expected, [112, 112]).permute(1, 2, 0)
    assert np.array_equal(read_view(tmp_path / "x.jpg", 112), expected)
