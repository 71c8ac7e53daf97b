"""Batches from files: the same ones however they are asked for; files that can't be read."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from image_tree import wnid, write_image_tree
from unas.common.errors import UserError
from unas.compute.ranks import ONE_PROCESS, Ranks
from unas.data import (
    Augmentation,
    BatchStream,
    ImageSet,
    Normalisation,
    _decode,
    evaluation_batches,
    split,
)
from unas.data._decode import read_view
from unas.data.folder import ImageFolder

AUGMENTATION = Augmentation(
    crop_share=0.08, flip=True, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2
)
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
NORMALISATION = Normalisation(MEAN, STD)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    write_image_tree(tmp_path, classes=2, per_class=6, size=40, val_per_class=2)
    return tmp_path


def load(root: Path, **options: Any) -> Any:
    return ImageFolder(size=24, **{"workers": 2, **options}).load(root)


def stream(
    images: ImageSet,
    augmentation: Augmentation | None = AUGMENTATION,
    batch_size: int = 4,
    ranks: Ranks = ONE_PROCESS,
) -> BatchStream:
    return BatchStream(
        images, batch_size, augmentation, NORMALISATION, seed=3, stream="train", ranks=ranks
    )


def batches_of(batches: BatchStream, start: int, stop: int) -> list[tuple[torch.Tensor, ...]]:
    return [batches.batch(step) for step in range(start, stop)]


def same(one: tuple[torch.Tensor, ...], other: tuple[torch.Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def spoil(root: Path, *numbers: int) -> list[str]:
    """Cut training images of class 0 off in the middle."""
    paths = [root / "train" / wnid(0) / f"{wnid(0)}_{number}.JPEG" for number in numbers]
    for path in paths:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return [str(path) for path in paths]


def test_a_batch_depends_on_its_number_alone(tree: Path) -> None:
    in_order = batches_of(stream(load(tree).train), 0, 9)
    again = stream(load(tree, workers=1).train)
    assert all(same(again.batch(step), in_order[step]) for step in (8, 0, 3, 8, 2, 3, 4))
    torch.manual_seed(99)
    resumed = batches_of(stream(load(tree).train), 5, 9)
    assert all(same(*pair) for pair in zip(resumed, in_order[5:], strict=True))
    assert in_order[0][0].shape == (4, 3, 24, 24)
    assert in_order[0][0].is_contiguous(memory_format=torch.channels_last)


def test_nothing_read_ahead_changes_a_batch(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead = batches_of(stream(load(tree).train), 0, 9)
    monkeypatch.setattr("unas.data._image_files.ImageFiles.ahead", 0)
    one_by_one = batches_of(stream(load(tree).train), 0, 9)
    assert all(same(*pair) for pair in zip(ahead, one_by_one, strict=True))


def test_ranks_share_one_global_batch(tree: Path) -> None:
    alone = stream(load(tree).train, batch_size=6)
    ranks = [stream(load(tree).train, batch_size=3, ranks=Ranks(rank, 2)) for rank in (0, 1)]
    for step in (0, 2, 4):
        images, labels = zip(*(rank.batch(step) for rank in ranks), strict=True)
        assert same((torch.cat(images), torch.cat(labels)), alone.batch(step))


def test_an_epoch_has_each_image_once_and_each_step_other_crops(tree: Path) -> None:
    images = load(tree).train
    plain = stream(images, None, batch_size=6)
    epoch = torch.cat([plain.batch(step)[0] for step in range(3)])
    assert len({image.numpy().tobytes() for image in epoch}) == 18
    one = stream(images.subset(torch.tensor([5])), Augmentation(crop_share=0.2), batch_size=1)
    assert len({one.batch(step)[0].numpy().tobytes() for step in range(12)}) == 12


def test_without_augmentation_images_are_those_of_the_evaluation(tree: Path) -> None:
    """As the search sees validation images."""
    _, validation = split(load(tree).train, 1 / 3, seed=0)
    batches = batches_of(stream(validation, None, batch_size=3), 0, 2)
    seen = torch.cat([images for images, _ in batches])
    (fixed, labels), = evaluation_batches(validation, 8, NORMALISATION)  # fmt: skip
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    contents = {image.numpy().tobytes() for image in fixed}
    assert {image.numpy().tobytes() for image in seen} == contents
    views = [read_view(validation.path(index), 24) for index in range(6)]
    pixels = torch.from_numpy(np.stack(views)) / 255
    expected = ((pixels - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2)
    torch.testing.assert_close(fixed, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("batch_size", [1, 4, 18, 50])
def test_evaluation_sees_everything_in_order(tree: Path, batch_size: int) -> None:
    batches = list(evaluation_batches(load(tree).train, batch_size, NORMALISATION))
    assert [len(labels) for _, labels in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert torch.cat([labels for _, labels in batches]).tolist() == [0] * 6 + [1] * 6 + [2] * 6


def test_an_unreadable_image_is_named_counted_once_and_replaced(
    own: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = batches_of(stream(load(own).train, None, batch_size=12), 0, 3)
    paths = spoil(own, 1, 2)
    data = load(own, max_corrupt=0.2)
    with caplog.at_level(logging.WARNING, "unas.data"):
        batches = batches_of(stream(data.train, None, batch_size=12), 0, 3)
    assert len(data.train.skipped) == len(caplog.records) == 2
    for path in paths:
        assert sum(path in record.message for record in caplog.records) == 1
    assert all("truncated" in record.message.lower() for record in caplog.records)
    counts = [record.message.rpartition("; ")[2] for record in caplog.records]
    assert counts == ["1 of 16 so far", "2 of 16 so far"]
    again = batches_of(stream(load(own, max_corrupt=0.2).train, None, batch_size=12), 0, 3)
    assert all(same(*pair) for pair in zip(again, batches, strict=True))
    changed = 0
    for (old, _), (new, _) in zip(whole, batches, strict=True):
        changed += sum(not torch.equal(*pair) for pair in zip(old, new, strict=True))
    assert changed == 2 * 3
    # Image 3 of the same class is the next that can be read.
    for (old, labels), (new, new_labels) in zip(whole, batches, strict=True):
        assert torch.equal(labels, new_labels)
        third = read_view(data.train.path(3), 24).tobytes()
        shown = [
            (image.permute(1, 2, 0) * torch.tensor(STD) + torch.tensor(MEAN)) * 255 for image in new
        ]
        assert sum(image.round().byte().numpy().tobytes() == third for image in shown) == 3
        assert len(old) == len(new) == 12


def test_a_name_that_moves_the_cursor_is_told_without_control_characters(
    own: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = "\x1b[31mevil\x1b[2J\n\u202e\udcff.png"
    (own / "train" / wnid(0) / name).write_bytes(b"no image")
    with caplog.at_level(logging.WARNING, "unas.data"):
        stream(load(own, max_corrupt=0.1).train, batch_size=13).batch(0)
    (record,) = caplog.records
    assert record.message.isprintable()
    assert r"\u001b[31mevil\u001b[2J\u000a\u202e\udcff.png can't be read" in record.message
    with pytest.raises(UserError, match="can't be read, more than") as caught:
        stream(load(own, max_corrupt=0.0).train, batch_size=13).batch(0)
    assert str(caught.value).isprintable()


def test_an_unreadable_image_is_left_out_of_the_evaluation(own: Path) -> None:
    spoil(own, 0, 1)
    batches = list(evaluation_batches(load(own, max_corrupt=0.2).train, 2, NORMALISATION))
    assert torch.cat([labels for _, labels in batches]).tolist() == [0] * 4 + [1] * 6
    assert len(batches) == 5  # the first would be empty


def test_more_than_the_share_stops_the_run(own: Path) -> None:
    """2 of 16 are an eighth."""
    spoil(own, 1, 2)
    batches_of(stream(load(own, max_corrupt=0.125).train), 0, 3)
    data = load(own, max_corrupt=0.12)
    batches = stream(data.train, batch_size=12)
    too_many = r"^folder: 2 of 16 images can't be read, more than dataset.max_corrupt 0.12; "
    message = too_many + r"the last is \S+\.JPEG \(OSErr"
    for _ in range(2):
        with pytest.raises(UserError, match=message) as caught:
            batches.batch(0)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=message):
        list(evaluation_batches(data.test, 4, NORMALISATION))


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", b"\xff\xd8\xff\xe0", b"GIF89a" + bytes(40), b"%!PS-Adobe-3.0 EPSF"],
)
def test_what_is_no_image_inside_is_skipped(content: bytes, own: Path) -> None:
    path = own / "train" / wnid(0) / "0.png"
    path.write_bytes(content)
    data = load(own, max_corrupt=0.1)
    stream(data.train, batch_size=13).batch(0)
    assert str(path) in data.train.skipped


def test_a_link_to_nothing_is_skipped_and_a_bomb_is_not_unpacked(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own / "train" / wnid(0) / "0.png").symlink_to(own / "absent")
    Image.new("L", (300, 100)).save(own / "train" / wnid(0) / "1.png")
    data = load(own, max_corrupt=0.2, max_pixels=20_000)
    stream(data.train, batch_size=14).batch(0)
    assert len(data.train.skipped) == 2
    assert str(own / "train" / wnid(0) / "1.png") in data.train.skipped
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(UserError, match="DecompressionBombError"):
        stream(load(own, max_corrupt=0.0).train.subset(torch.tensor([1])), batch_size=1).batch(0)


def test_a_larger_limit_of_pixels_is_pillows_too(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(**options: Any) -> None:
        data = load(own, max_corrupt=0.0, **options)
        stream(data.train, batch_size=len(data.train)).batch(0)

    Image.new("L", (300, 100)).save(own / "train" / wnid(0) / "0.JPEG")
    monkeypatch.setattr(_decode, "MAX_PIXELS", 10_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    read(max_pixels=30_000)
    limit = r"300 × 100 pixels are more than dataset\.max_pixels, 29999"
    with pytest.raises(UserError, match=limit):
        read(max_pixels=29_999)


def test_threads_end_with_the_images(tree: Path) -> None:
    before = set(threading.enumerate())
    data = load(tree)
    batches = stream(data.train)
    batches.batch(0)
    readers = set(threading.enumerate()) - before
    assert len(readers) == 2
    del batches, data
    for reader in readers:
        reader.join(10)
        assert not reader.is_alive()


def test_a_batch_that_is_dropped_is_read_no_further(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, may_read = [], threading.Event()

    def slow(path: Path, side: int, *_: object) -> np.ndarray[Any, Any]:
        read.append(path)
        may_read.wait(10)
        return np.zeros((side, side, 3), np.uint8)

    monkeypatch.setattr("unas.data._image_files.read_view", slow)
    train = load(tree, workers=1).train
    dropped = train.read(torch.arange(18))
    del dropped
    may_read.set()
    train.read(torch.tensor([7])).result()
    assert len(read) <= 2


_ENDLESS = """
import pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what runs in the background
from unas.data import Augmentation, BatchStream
from unas.data.folder import ImageFolder
data = ImageFolder(size=224, workers=2).load(pathlib.Path(sys.argv[1]))
crops = Augmentation(crop_share=0.1)
stream = BatchStream(data.train, 18, crops, data.normalisation, seed=0, stream="train")
for step in range(10**9):
    stream.batch(step)
    if step == 2:
        print("reading", flush=True)
"""


@pytest.mark.slow
def test_ctrl_c_ends_the_process_at_once(tree: Path) -> None:
    command = [sys.executable, "-c", _ENDLESS, str(tree)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2] / "src"),
        "OMP_NUM_THREADS": "1",
    }
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout.readline() == b"reading\n"
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()  # one that does not end must not keep the tests waiting
    assert b"KeyboardInterrupt" in errors
    assert process.returncode == -signal.SIGINT
