"""CIFAR in its published binary format: archives of a few images, made with numpy and tarfile."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unas.data
from unas.common.errors import UserError
from unas.data import ImageData


@dataclass(frozen=True)
class Published:
    """The published layout, as https://www.cs.toronto.edu/~kriz/cifar.html describes it."""

    name: str
    archive: str
    folder: str
    train: tuple[str, ...]
    test: str
    label_bytes: int
    classes: int


CIFARS = (
    Published(
        "cifar10", "cifar-10-binary.tar.gz", "cifar-10-batches-bin",
        tuple(f"data_batch_{n}.bin" for n in (1, 2, 3, 4, 5)), "test_batch.bin", 1, 10,
    ),
    Published(
        "cifar100", "cifar-100-binary.tar.gz", "cifar-100-binary",
        ("train.bin",), "test.bin", 2, 100,
    ),
)  # fmt: skip
both = pytest.mark.parametrize("cifar", CIFARS, ids=lambda cifar: cifar.name)
IMAGES = 4  # of each file


def make(
    cifar: Published, seed: int = 0
) -> tuple[dict[str, Any], dict[str, Any], dict[str, bytes]]:
    """Return images [N, 32, 32, 3], labels [N] and the bytes, each by file name."""
    random = np.random.default_rng(seed)
    images, labels, contents = {}, {}, {}
    for name in (*cifar.train, cifar.test):
        images[name] = random.integers(256, size=(IMAGES, 32, 32, 3), dtype=np.uint8)
        labels[name] = random.integers(cifar.classes, size=IMAGES, dtype=np.uint8)
        record = io.BytesIO()
        for image, label in zip(images[name], labels[name], strict=True):
            record.write(bytes([19] * (cifar.label_bytes - 1) + [label]))
            for channel in range(3):  # red, then green, then blue, each row by row
                record.write(image[:, :, channel].tobytes())
        contents[name] = record.getvalue()
    return images, labels, contents


def pack(
    path: Path,
    cifar: Published,
    contents: dict[str, bytes],
    extra: Sequence[tarfile.TarInfo] = (),
) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for info in extra:
            tar.addfile(info)
        for name, content in {**contents, "readme.html": b"<html>"}.items():
            info = tarfile.TarInfo(f"{cifar.folder}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def load(cifar: Published, root: Path) -> ImageData:
    return unas.data.get(cifar.name)().load(root)


def refusal(cifar: Published, root: Path) -> str:
    with pytest.raises(UserError) as caught:
        load(cifar, root)
    (line,) = str(caught.value).splitlines()
    return line


@both
@pytest.mark.parametrize("extracted", [False, True])
def test_published_format_is_read(cifar: Published, extracted: bool, tmp_path: Path) -> None:
    images, labels, contents = make(cifar)
    pack(tmp_path / cifar.archive, cifar, contents)
    if extracted:
        with tarfile.open(tmp_path / cifar.archive) as tar:
            tar.extractall(tmp_path, filter="data")
        (tmp_path / cifar.archive).unlink()
    data: Any = load(cifar, tmp_path)
    for part, names in ((data.train, cifar.train), (data.test, (cifar.test,))):
        pixels = np.concatenate([images[name] for name in names])
        assert np.array_equal(part.images.permute(0, 2, 3, 1).numpy(), pixels)
        assert part.labels.tolist() == np.concatenate([labels[name] for name in names]).tolist()
    assert data.name == cifar.name
    assert len(set(data.class_names)) == data.num_classes == cifar.classes
    assert list(data.class_names) == sorted(data.class_names)  # as both are published
    assert data.mean == (0.4914, 0.4822, 0.4465)
    assert data.std == (0.2470, 0.2435, 0.2616)


@both
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.97, -1])
def test_a_truncated_archive_is_refused_by_name(
    cifar: Published, kept: float, tmp_path: Path
) -> None:
    archive = tmp_path / cifar.archive
    pack(archive, cifar, make(cifar)[2])
    whole = archive.read_bytes()
    cut = whole[:-1] if kept == -1 else whole[: int(len(whole) * kept)]
    archive.write_bytes(cut)
    line = refusal(cifar, tmp_path)
    assert line.startswith(f"{archive}: ")
    assert (
        f"delete {archive} and run again to download it, or put {cifar.archive} from https://"
        in line
    )
    if kept:
        assert f"truncated ({len(cut):,} bytes)" in line


@both
def test_damage_anywhere_is_noticed(cifar: Published, tmp_path: Path) -> None:
    archive = tmp_path / cifar.archive
    pack(archive, cifar, make(cifar)[2])
    whole = archive.read_bytes()
    random = np.random.default_rng(1)
    for position in [*random.integers(10, len(whole), size=20).tolist(), len(whole) - 6]:
        archive.write_bytes(
            whole[:position] + bytes([whole[position] ^ 64]) + whole[position + 1 :]
        )
        assert refusal(cifar, tmp_path).startswith(f"{archive}: ")


@both
@pytest.mark.parametrize("extracted", [False, True])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content, _: content[:-1], "truncated ("),
        (lambda _content, _cifar: b"", "truncated (0 bytes"),
        (
            lambda content, cifar: (
                content[: cifar.label_bytes - 1] + b"\xc8" + content[cifar.label_bytes :]
            ),
            "has the label 200; labels are 0 …",
        ),
        (lambda _content, _cifar: None, "missing"),
    ],
    ids=["short", "empty", "label", "missing"],
)
def test_a_bad_file_inside_is_refused_by_name(
    cifar: Published,
    extracted: bool,
    damage: Callable[[bytes, Published], bytes | None],
    message: str,
    tmp_path: Path,
) -> None:
    contents = make(cifar)[2]
    damaged = damage(contents.pop(cifar.test), cifar)
    if damaged is not None:
        contents[cifar.test] = damaged
    source = tmp_path / (cifar.folder if extracted else cifar.archive)
    if extracted:
        source.mkdir()
        for name, content in contents.items():
            (source / name).write_bytes(content)
    else:
        pack(source, cifar, contents)
    line = refusal(cifar, tmp_path)
    assert line.startswith(f"{source}: {cifar.test}")
    assert message in line


def test_nothing_outside_or_linked_is_read(tmp_path: Path) -> None:
    """A member that climbs out is ignored, one that links to a file of the machine is refused."""
    cifar = CIFARS[0]
    contents = make(cifar)[2]
    (tmp_path / "secret").write_bytes(contents[cifar.test])
    climbing = tarfile.TarInfo(f"{cifar.folder}/../../{cifar.test}")
    linked = tarfile.TarInfo(f"{cifar.folder}/{cifar.test}")
    linked.type, linked.linkname = tarfile.SYMTYPE, str(tmp_path / "secret")
    root = tmp_path / "root"
    root.mkdir()
    del contents[cifar.test]
    pack(root / cifar.archive, cifar, contents, [climbing])
    assert f"{cifar.test} missing" in refusal(cifar, root)
    pack(root / cifar.archive, cifar, contents, [linked])
    assert "not a readable .tar.gz" in refusal(cifar, root)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()].count(cifar.test) == 0


def test_what_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cifar = CIFARS[0]
    monkeypatch.setattr("unas.data._cifar._UNPACKED_LIMIT_BYTES", 1 << 20)
    archive = tmp_path / cifar.archive
    pack(archive, cifar, make(cifar)[2])
    load(cifar, tmp_path)
    with gzip.open(archive) as unzipped:
        plain = unzipped.read()
    archive.write_bytes(gzip.compress(plain + bytes(2 << 20)))  # after the end of the tar
    assert "unpacks to more" in refusal(cifar, tmp_path)
    sparse = tarfile.TarInfo(f"{cifar.folder}/{cifar.test}")
    sparse.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.map": f"{1 << 40},0",
    }
    sparse.pax_headers["GNU.sparse.size"] = str(1 << 40)
    contents = make(cifar)[2]
    del contents[cifar.test]
    pack(archive, cifar, contents, [sparse])
    assert f"{cifar.test} missing" in refusal(cifar, tmp_path)


@both
def test_the_pickled_version_is_named_and_never_read(
    cifar: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    pickled = tmp_path / cifar.archive.replace("binary", "python")
    pickled.write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    line = refusal(cifar, tmp_path)
    assert re.search(
        rf"{cifar.archive} \(md5 \w+\).* \({pickled.name} there is the Python version, a pickle",
        line,
    )
