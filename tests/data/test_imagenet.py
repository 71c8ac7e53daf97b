"""The tree of image files: what is found, what is refused, what a run makes of it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from PIL import Image

from image_tree import wnid, write_image_tree
from tiny import tiny_recipe
from unas.common.errors import UserError
from unas.config import Config
from unas.config.document import config_from_json, config_to_json
from unas.data._decode import read_view
from unas.data.folder import ImageFolder
from unas.data.imagenet import ImageNet
from unas.pipeline.preflight import preflight


@pytest.fixture
def own(tmp_path: Path) -> Path:
    write_image_tree(tmp_path, classes=3, per_class=5, size=32, val_per_class=1)
    return tmp_path


def files(image_set: Any) -> list[str]:
    return [image_set.path(index) for index in range(len(image_set))]


def test_the_images_are_those_of_torchvisions_image_folder(tree: Path) -> None:
    data = ImageNet(size=32).load(tree)
    for part, images in (("train", data.train), ("val", data.test)):
        theirs = torchvision.datasets.ImageFolder(str(tree / part))
        assert list(zip(files(images), images.labels.tolist(), strict=True)) == theirs.samples
        assert list(data.class_names) == theirs.classes
    assert (data.name, data.num_classes, data.image_shape, len(data.train), len(data.test)) == (
        "imagenet", 3, (3, 32, 32), 18, 6,
    )  # fmt: skip


def test_a_folder_imagenet_in_the_data_root_is_found(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "imagenet").symlink_to(tree)
    assert len(ImageNet().load(tmp_path).train) == 18
    with pytest.raises(UserError, match="has no folder train"):
        ImageFolder().load(tmp_path)


def test_what_is_no_image_is_passed_over_and_links_are_followed(
    own: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = own / "train" / wnid(0)
    for name in ("notes.txt", "._0.JPEG", ".DS_Store", "a.jpg.part"):
        (folder / name).write_bytes(b"x")
    (own / "train" / ".cache").mkdir()
    outside = tmp_path_factory.mktemp("outside") / "x.PNG"
    Image.new("RGB", (40, 40)).save(outside)
    (folder / "0_link.PNG").symlink_to(outside)
    data = ImageFolder(size=16).load(own)
    assert len(data.train) == 16
    assert files(data.train)[0].endswith("0_link.PNG")
    images, labels = data.train.read(torch.tensor([0])).result()
    assert (int(images.max()), labels.tolist()) == (0, [0])


def test_without_val_a_fifth_of_each_class_tests(own: Path) -> None:
    for path in sorted((own / "val").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (own / "val").rmdir()
    data = ImageFolder(size=16).load(own)
    assert data.test.labels.tolist() == [0, 1, 2]
    assert data.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    together = files(data.train) + files(data.test)
    assert sorted(together) == sorted(map(str, (own / "train").rglob("*.JPEG")))
    assert files(ImageFolder(size=16).load(own).test) == files(data.test)
    (own / "train").rename(own / "moved")
    (own / "moved" / wnid(0)).rename(own / "test")
    (own / "moved").rename(own / "train")
    with pytest.raises(
        UserError, match=r"test has 5 images and no folders; put them into a folder for each class"
    ):
        ImageFolder().load(own)


def _empty_class(root: Path) -> None:
    (root / "train" / "cat").mkdir()


def _only_folders(root: Path) -> None:
    (root / "train" / "cat" / "more").mkdir(parents=True)


def _no_classes(root: Path) -> None:
    (root / "train").rename(root / "old")
    (root / "train").mkdir()


def _class_only_in_val(root: Path) -> None:
    (root / "val" / "cat").mkdir()
    Image.new("L", (9, 9)).save(root / "val" / "cat" / "1.png")


def _class_only_in_train(root: Path) -> None:
    (root / "val" / wnid(1)).rename(root / "gone")


def _file_train(root: Path) -> None:
    (root / "train").rename(root / "old")
    (root / "train").write_text("")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            _empty_class,
            r"train/cat has no images \(\.jpg, \.jpeg, \.jfif, \.png, \.webp, \.bmp\); add some, or remove it",
        ),
        (_only_folders, r"train/cat has no images .*, only folders \(the first is more\)"),
        (
            _no_classes,
            "train has 0 images and no folders; give each class a folder of images there",
        ),
        (
            _class_only_in_val,
            r"val has the class 'cat', but \S+train has not; both need the same folders",
        ),
        (_class_only_in_train, rf"train has the class '{wnid(1)}', but \S+val has not"),
        (_file_train, "has neither train nor imagenet/train"),
    ],
)
def test_a_wrong_tree_is_one_line(own: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(own)
    with pytest.raises(UserError, match=rf"^imagenet: {re.escape(str(own))}.*{message}") as caught:
        ImageNet().load(own)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_one_line(own: Path) -> None:
    (own / "train").chmod(0)
    try:
        with pytest.raises(UserError, match=r"train can't be read \(Permission denied\)"):
            ImageNet().load(own)
    finally:
        (own / "train").chmod(0o755)


@pytest.mark.parametrize("root", ["absent", "file"])
@pytest.mark.parametrize("dataset", [ImageNet(), ImageFolder()])
def test_a_root_that_is_not_there_is_one_line(
    dataset: ImageFolder, root: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        UserError, match=r"^(imagenet|folder): \S+ has n.*put it|^folder: .*--data-root"
    ):
        dataset.load(tmp_path / root)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"size": 7}, "dataset.size is 7; it must be from 8 to 2048"),
        ({"size": 10**9}, "dataset.size is 1000000000"),
        ({"workers": 10**6}, "dataset.workers is 1000000; it must be from 0 to 1024"),
        ({"test_fraction": 1.0}, "dataset.test_fraction is 1.0"),
        ({"mean": (0.5, 0.5, float("inf"))}, "dataset.mean is"),
        ({"std": (0.5, 0.5, float("nan"))}, "dataset.std is"),
        ({"workers": -1}, "dataset.workers is -1"),
        ({"max_pixels": 0}, "dataset.max_pixels is 0; it must be from 64 to 4294967296"),
        ({"max_corrupt": 1.0}, "dataset.max_corrupt is 1.0; it is a share, from 0 to below 1"),
        ({"max_corrupt": -0.1}, "dataset.max_corrupt is -0.1"),
        ({"max_corrupt": float("nan")}, "dataset.max_corrupt is nan"),
        ({"test_fraction": 0.0}, "dataset.test_fraction is 0.0"),
        ({"std": (0.1, 0.0, 0.1)}, "dataset.std"),
    ],
)
def test_a_wrong_option_is_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        ImageNet(**option)


def test_a_share_that_leaves_no_image_to_train_is_refused(tmp_path: Path) -> None:
    write_image_tree(tmp_path, classes=2, per_class=2, size=32, val_per_class=0)
    shutil.rmtree(tmp_path / "val")
    with pytest.raises(UserError, match=r"4 images, of which dataset.test_fraction 0.9 leaves"):
        ImageFolder(size=32, test_fraction=0.9).load(tmp_path)


def config(root: Path, size: int = 32) -> Config:
    recipe = tiny_recipe()
    search = replace(recipe.search, batch_size=4, validation_fraction=0.4)
    training = replace(recipe.training, batch_size=6)
    dataset = ImageNet(size=size, workers=2)
    return replace(recipe, dataset=dataset, search=search, training=training, data_root=str(root))


def test_a_configuration_is_the_same_after_json(tree: Path) -> None:
    assert config_from_json(config_to_json(config(tree)), trusted=[]) == config(tree)


def test_a_dry_run_reads_no_image(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(
        "unas.data._image_files.read_view",
        lambda path, *rest: read.append(path) or read_view(path, *rest),
    )
    search = replace(config(tree).search, epochs=1000)
    figures = preflight(replace(config(tree), search=search))
    assert figures["search_steps"] == 1001 * 2  # 11 images in batches of 4
    assert not read
