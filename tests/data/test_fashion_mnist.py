"""Fashion-MNIST: idx files of a few images, read by us and by torchvision."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.datasets import FashionMNIST as Torchvision

from unas.common.errors import UserError
from unas.data.fashion_mnist import FashionMnist

COUNTS = {"train": 7, "t10k": 3}
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Write the four files as http://yann.lecun.com/exdb/mnist describes them."""
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for prefix, count in COUNTS.items():
        pixels = random.integers(256, size=count * 28 * 28, dtype=np.uint8).tobytes()
        labels = random.integers(10, size=count, dtype=np.uint8).tobytes()
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(
            struct.pack(">4I", 2051, count, 28, 28) + pixels
        )
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(
            struct.pack(">2I", 2049, count) + labels
        )
    return folder


def pack(raw: Path) -> None:
    for path in list(raw.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


@pytest.mark.parametrize("packed", [False, True])
def test_reads_what_torchvision_reads(raw: Path, tmp_path: Path, packed: bool) -> None:
    theirs = [Torchvision(tmp_path, train=train, download=False) for train in (True, False)]
    if packed:
        pack(raw)
    data: Any = FashionMnist().load(tmp_path)
    for part, expected in zip((data.train, data.test), theirs, strict=True):
        assert torch.equal(part.images[:, 0], expected.data)
        assert torch.equal(part.labels, expected.targets)
    assert data.image_shape == (1, 28, 28)
    assert list(data.class_names) == Torchvision.classes


@pytest.mark.parametrize(
    "name", [TEST_IMAGES, TEST_LABELS, f"{TEST_IMAGES}.gz", f"{TEST_LABELS}.gz"]
)
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-1], "truncated ("),
        (lambda content: content + b"\0", "too long ("),
        (lambda content: content[:5], "not an idx file"),
        (lambda _: b"", "not an idx file"),
        (lambda content: b"\0\0\x0d\3" + content[4:], "not an idx file"),
        (
            lambda content: content[:4] + struct.pack(">I", 2**32 - 1) + content[8:],
            "not an idx file",
        ),
    ],
    ids=["short", "long", "header", "empty", "type", "count"],
)
def test_a_bad_file_is_refused_by_name(
    raw: Path, tmp_path: Path, name: str, damage: Callable[[bytes], bytes], message: str
) -> None:
    path = raw / name.removesuffix(".gz")
    path.write_bytes(damage(path.read_bytes()))
    if name.endswith(".gz"):
        pack(raw)
        path = raw / name
    with pytest.raises(UserError) as caught:
        FashionMnist().load(tmp_path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: {message}")
    assert "delete it and run again to download it" in line


def test_a_truncated_gz_is_refused_by_name(raw: Path, tmp_path: Path) -> None:
    pack(raw)
    path = raw / f"{TEST_IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=rf"{path}: can't be read \(Compressed file ended"):
        FashionMnist().load(tmp_path)


def test_labels_of_other_images_are_refused(raw: Path, tmp_path: Path) -> None:
    (raw / TEST_LABELS).write_bytes(struct.pack(">2I", 2049, 2) + bytes(2))
    with pytest.raises(UserError, match=rf"{TEST_LABELS}: 2 labels for 3 images"):
        FashionMnist().load(tmp_path)
