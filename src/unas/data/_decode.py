"""One image file as the square of bytes that a network sees."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

from unas.data._crops import Box, Crops

MAX_PIXELS = 89_478_485  # the limit of Pillow
SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp")
# What a file is is told by its content. Pillow knows more formats than these, and runs other
# programs for some of them.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
# A JPEG is decoded to at least this many times its final size; the difference is measured in
# docs/benchmarks.md.
DRAFT_MARGIN = 2
# For evaluation, no more of an image is scaled than this many times its shorter side: one of
# 30,000 × 1 pixels would become one of 7,680,000 × 256. Photographs are far from it.
_LONGEST = 32
_ORIENTATION = 0x0112  # the EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FIRST_SIDEWAYS = 5  # from this orientation on, turning upright swaps height and width


def read_view(
    path: Path | str,
    side: int,
    crops: Crops | None = None,
    row: int = 0,
    max_pixels: int = MAX_PIXELS,
) -> npt.NDArray[np.uint8]:
    """Return an image, upright and in RGB, as uint8 [side, side, 3].

    Args:
        path: a JPEG, PNG, WebP or BMP file.
        side: height and width of the result, in pixels.
        crops: what is scaled to the result; None for the middle of the image whose shorter side is
            scaled to `resized_side`, as for the evaluation on ImageNet.
        row: the image's row in `crops`.
        max_pixels: largest height × width that is read.

    Raises:
        Exception: the file can't be read; Pillow raises many kinds, and warns of some that it
            reads.
    """
    if max_pixels > max(MAX_PIXELS, Image.MAX_IMAGE_PIXELS or math.inf):
        Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow has one limit for all, and warns above it
    with Image.open(path, formats=_FORMATS) as image:
        if image.width * image.height > max_pixels:
            raise ValueError(
                f"{image.width} × {image.height} pixels are more than dataset.max_pixels, "
                f"{max_pixels}"
            )
        if image.format == "PNG":
            image.load()  # its orientation may stand after its pixels
        orientation = _orientation(image)
        width, height = image.size
        if orientation >= _FIRST_SIDEWAYS:
            width, height = height, width
        if crops is None:
            box = _middle(height, width)
            size = _resized(resized_side(side), box.height, box.width)
        else:
            box = crops.box(row, height, width)
            size = (side, side)
        _reduce(image, min(box.height / size[0], box.width / size[1]) / DRAFT_MARGIN)
        image.load()
        upright: Image.Image = image
        if orientation in _UPRIGHT:
            upright = image.transpose(_UPRIGHT[orientation])
        part = _cut(_rgb(upright), _in_pixels_of(upright, box, height, width))
    return _scaled_middle(part, size, side)


def _scaled_middle(
    image: npt.NDArray[np.uint8], size: tuple[int, int], side: int
) -> npt.NDArray[np.uint8]:
    """Return the middle [side, side, 3] of an image [H, W, 3] that is scaled to `size`.

    It is what torchvision's resize and center_crop do, without its import, which takes longer than
    that of PyTorch.
    """
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)
    height, width = size
    top = round((height - side) / 2)
    left = round((width - side) / 2)
    middle = pixels[0, :, top : top + side, left : left + side]
    return middle.permute(1, 2, 0).numpy()


def resized_side(side: int) -> int:
    """Return an image's shorter side before the middle `side` pixels are cut out: 256 for 224."""
    return round(side * 256 / 224)


def _middle(height: int, width: int) -> Box:
    """Return all of an image; of one far longer than wide, as much as surrounds its middle."""
    longest = _LONGEST * min(height, width)
    rows = _middle_length(height, longest)
    columns = _middle_length(width, longest)
    return Box((height - rows) // 2, (width - columns) // 2, rows, columns)


def _middle_length(length: int, longest: int) -> int:
    """Return about `longest`, such that as much of `length` is cut off before as behind it."""
    if length <= longest:
        return length
    return longest + (length - longest) % 2


def _resized(shorter: int, height: int, width: int) -> tuple[int, int]:
    """Return an image's (height, width) after its shorter side has been scaled to `shorter`."""
    if height <= width:
        return shorter, int(shorter * width / height)
    return int(shorter * height / width), shorter


def _orientation(image: Image.Image) -> int:
    """Return how the EXIF data say that the camera was held, 1 … 8; 1 is upright."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data are no damaged image
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _reduce(image: Image.Image, times: float) -> None:
    """Have a JPEG decoded at 1/2, 1/4 or 1/8 of its size, if that is not less than 1/`times`."""
    if times >= 2:
        image.draft(image.mode, (int(image.width / times), int(image.height / times)))


def _rgb(image: Image.Image) -> Image.Image:
    """Return any image in RGB; transparency is dropped."""
    if image.mode.startswith("I"):  # 16 bits of grey, of which Pillow would cut off the upper ones
        image = Image.fromarray((np.asarray(image, np.uint32) >> 8).astype(np.uint8))
    if "transparency" in image.info:  # Pillow warns of a palette with it that becomes RGB at once
        image = image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


def _in_pixels_of(image: Image.Image, box: Box, height: int, width: int) -> Box:
    """Return the box of an image of height × width in `image`, which was decoded smaller."""
    down = image.height / height
    across = image.width / width
    top = round(box.top * down)
    bottom = round((box.top + box.height) * down)
    left = round(box.left * across)
    right = round((box.left + box.width) * across)
    return Box(top, left, bottom - top, right - left)


def _cut(image: Image.Image, box: Box) -> npt.NDArray[np.uint8]:
    """Return a part of an RGB image, uint8 [H, W, 3], as an array that PyTorch may share."""
    if box != (0, 0, image.height, image.width):
        image = image.crop((box.left, box.top, box.left + box.width, box.top + box.height))
    return np.array(image)
