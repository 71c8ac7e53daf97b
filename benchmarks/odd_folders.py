"""Folders of images as somebody fills them with whatever a file system takes, for `fuzz.py`."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from unas.data import DataRecord, evaluation_batches
from unas.data.folder import ImageFolder

ODD_NAMES = (
    "cat", "Cat", "café", "cafe\u0301", "two words", "new\nline", "\x1b[31mred", "\u202eback",
    "..cat", "-rf", "a" * 200, "猫", "🐈", ".hidden", "cat.png", "CON", "con",
    "%s", "{}", "'", '"', "$(id)",
)  # fmt: skip
ODD_BYTES = (b"caf\xe9", b"\xff\xfe", b"\xc3(")
SUFFIXES = (
    ".png", ".PNG", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".svg",
    ".heic", ".txt", ".png.txt", "", ".", ".zip", ".npy", ".pkl",
)  # fmt: skip
PARTS = ("train", "train", "val", "valid", "Validation", "TEST", "test", "training", "extra")


def fill(root: Path, draw: random.Random) -> None:
    """Fill a data root anew: parts, classes and files, most of them images."""
    shutil.rmtree(root, ignore_errors=True)
    for part in {draw.choice(PARTS) for _ in range(draw.randint(1, 4))} | {"train"}:
        for _ in range(draw.randint(2, 4)):
            _fill(os.path.join(os.fsencode(root), part.encode(), _odd_name(draw)), draw)


def _odd_name(draw: random.Random) -> bytes:
    if draw.random() < 0.05:
        return draw.choice(ODD_BYTES)
    return draw.choice(ODD_NAMES).encode()


def _fill(folder: bytes, draw: random.Random) -> None:
    """Make a class's folder, or something else in its place, with some files in it."""
    if draw.random() < 0.1:
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            draw.choice((os.mkfifo, lambda path: os.symlink(path, path)))(folder)
        return
    with contextlib.suppress(FileExistsError):
        os.makedirs(folder)
    if not os.path.isdir(folder):
        return
    if draw.random() < 0.95:  # a folder without an image is refused at once
        for number in range(2):
            path = os.path.join(folder, b"%d.png" % number)
            Image.new("RGB", (9, 8), number).save(os.fsdecode(path))
    for _ in range(draw.randrange(6)):
        path = os.path.join(folder, _odd_name(draw)[:180] + draw.choice(SUFFIXES).encode())
        if os.path.lexists(path):
            continue
        match draw.randrange(8):
            case 0:
                os.mkfifo(path)
            case 1:
                os.symlink(draw.choice((b"/dev/zero", path, b"/nowhere", folder)), path)
            case 2:
                os.mkdir(path)
            case 3:
                Path(os.fsdecode(path)).write_bytes(draw.randbytes(draw.randrange(200)))
            case _:
                kind = draw.choice(("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"))
                size = (draw.choice((1, 8, 30)), draw.choice((1, 9, 40)))
                mode = draw.choice(("RGB", "L"))
                with open(path, "wb") as file:
                    Image.new(mode, size, draw.randrange(256)).save(file, format=kind)


def read_folder(root: Path) -> str:
    """Read all that training and testing would, and what is said and kept of it."""
    data = ImageFolder(size=8, max_corrupt=0.9, workers=1).load(root)
    for images in (data.train, data.test):
        for _ in evaluation_batches(images, 7, data.normalisation):
            pass
    record = DataRecord.of(data)
    json.dumps(asdict(record)).encode()
    print(record.line(), *record.left_out)
    return ""
