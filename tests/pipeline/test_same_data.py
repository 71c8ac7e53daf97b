"""What a run keeps of its data, and what happens on other data: resume, evaluate and export."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import unas
from small_run import small
from unas import cli
from unas.common.errors import UserError
from unas.config import Config
from unas.data.folder import ImageFolder
from unas.pipeline import evaluate_run, export_run
from unas.runs.names import MANIFEST, ONNX

TRUST = ("fake_clock:small_model",)


def add(folder: Path, count: int, colour: int, start: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        Image.new("RGB", (8, 8), (colour, number, 0)).save(folder / f"{number:03d}.png")


def make_photos(root: Path, names: tuple[str, ...] = ("cat", "dog"), val: int = 5) -> Path:
    for number, name in enumerate(names):
        add(root / "train" / name, 60, 40 * number)
        if val:
            add(root / "val" / name, val, 40 * number, start=100)
    return root


def config(root: Path, **changes: Any) -> Config:
    return small(dataset=ImageFolder(size=8, workers=1), data_root=str(root), **changes)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `photos` and the run `r` on it; for reading only."""
    place = tmp_path_factory.mktemp("ended")
    unas.run(config(make_photos(place / "photos")), place / "r", quiet=True)
    return place


@pytest.fixture
def place(ended: Path, tmp_path: Path) -> Path:
    shutil.copytree(ended, tmp_path / "place")
    return tmp_path / "place"


def evaluate(place: Path, root: str = "photos") -> dict[str, float]:
    return evaluate_run(place / "r", str(place / root), "cpu", TRUST)


def test_a_run_keeps_classes_counts_and_where_the_test_images_come_from(
    ended: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = json.loads((ended / "r" / MANIFEST).read_text())["data"]
    assert data["classes"] == ["cat", "dog"]
    assert (data["train"]["images"], data["test"]["images"]) == (120, 10)
    assert data["test_from"] == "val/"
    evaluate(ended)
    told = capfd.readouterr().err
    assert "folder: 2 classes (cat, dog), train 120, test 10 of val/, those of the run" in told


def _rename(place: Path) -> None:
    for part in ("train", "val"):
        (place / "photos" / part / "cat").rename(place / "photos" / part / "zebra")


def _remove(place: Path) -> None:
    for part in ("train", "val"):
        shutil.rmtree(place / "photos" / part / "cat")
        add(place / "photos" / part / "emu", 9, 9)


def _one_more(place: Path) -> None:
    for part in ("train", "val"):
        add(place / "photos" / part / "emu", 9, 9)


def _other_case(place: Path) -> None:
    for part in ("train", "val"):
        (place / "photos" / part / "cat").rename(place / "photos" / part / "Cat")


@pytest.mark.parametrize(
    ("change", "classes"),
    [
        (_rename, "2 classes: dog, zebra"),
        (_remove, "2 classes: dog, emu"),
        (_one_more, "3 classes: cat, dog, emu"),
        (_other_case, "2 classes: Cat, dog"),
    ],
)
@pytest.mark.parametrize("verb", ["evaluate", "export", "run"])
def test_other_classes_are_one_line_that_names_them(
    change: Callable[[Path], None],
    classes: str,
    verb: str,
    place: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = (place / "r" / ONNX).read_bytes()
    change(place)
    words = [verb, str(place / "r"), "--data-root", str(place / "photos"), "--trust", *TRUST]
    if verb == "run":
        words = [verb, "--resume", "--out", str(place / "r"), "--trust", *TRUST]
        moved = config(place / "photos")
        with pytest.raises(UserError, match=f"has {classes}, the run in .* 2 classes: cat, dog"):
            unas.run(moved, _rooted(place), resume=True, quiet=True)
        return
    assert cli.main(words) == 2
    (error,) = [line for line in capfd.readouterr().err.splitlines() if "error" in line]
    assert f"{place / 'photos'} has {classes}, the run in {place / 'r'} has" in error
    assert "2 classes: cat, dog;" in error
    assert (place / "r" / ONNX).read_bytes() == before


def _rooted(place: Path) -> Path:
    """Return the run, its configuration edited to have its data here."""
    path = place / "r" / "config.json"
    document = json.loads(path.read_text())
    document["data_root"] = str(place / "photos")
    path.write_text(json.dumps(document, indent=2) + "\n")
    return place / "r"


def _grow(photos: Path) -> None:
    add(photos / "train" / "cat", 61, 0, start=60)


def _move_to_test(photos: Path) -> None:
    (photos / "train" / "cat" / "000.png").rename(photos / "val" / "cat" / "000.png")


def _swap(photos: Path) -> None:
    (photos / "train" / "cat" / "000.png").rename(photos / "train" / "cat" / "a.png")


def _relabel(photos: Path) -> None:
    (photos / "train" / "cat" / "000.png").rename(photos / "train" / "dog" / "0.png")


def _other_content(photos: Path) -> None:
    Image.new("L", (90, 80)).save(photos / "train" / "cat" / "000.png")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_grow, r"photos has 191 images in 2 classes, the run began with 130; put them back"),
        (_move_to_test, "has 119 images to train and 11 to test, the run began with 120 images"),
        (_swap, "has as many images as the run in .* began with, but other ones"),
        (_relabel, "has as many images as the run in .* began with, but other ones"),
        (_other_content, "has as many images as the run in .* began with, but other ones"),
    ],
)
def test_a_run_does_not_go_on_with_other_images(
    change: Callable[[Path], None], says: str, place: Path
) -> None:
    run = _rooted(place)
    unas.search(config(place / "photos"), run, resume=True, quiet=True)
    change(place / "photos")
    with pytest.raises(UserError, match=says) as caught:
        unas.run(config(place / "photos"), run, resume=True, quiet=True)
    assert f"--genotype {run} keeps the architecture" in str(caught.value)


def test_another_folder_with_the_same_classes_is_evaluated(
    place: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    make_photos(place / "others", val=7)
    assert set(evaluate(place, "others")) == {"test_accuracy", "test_loss"}
    assert "train 120, test 14 of val/, not those of the run" in capfd.readouterr().err
    assert not caplog.records
    shutil.rmtree(place / "others" / "val")
    evaluate(place, "others")
    assert "train 96, test 24 of train/ (a fifth), not those of" in capfd.readouterr().err
    assert "some may have trained the network" in caplog.text


def test_a_run_of_an_older_unas_is_not_compared_and_says_so_once(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = _rooted(place)
    manifest = json.loads((run / MANIFEST).read_text())
    del manifest["data"]
    (run / MANIFEST).write_text(json.dumps(manifest))
    expected = evaluate(place)
    assert caplog.text.count("says nothing about the data of the run: they are not compared") == 1
    _one_more(place)
    with pytest.raises(UserError, match=r"has 3 classes, and the network in .* tells 2 apart"):
        evaluate(place)
    for part in ("train", "val"):
        shutil.rmtree(place / "photos" / part / "emu")
    caplog.clear()
    unas.run(config(place / "photos"), run, resume=True, quiet=True)
    assert "not compared" in caplog.text
    caplog.clear()
    assert evaluate(place) == expected
    assert not caplog.records
    _grow(place / "photos")
    with pytest.raises(UserError, match="has 191 images"):
        unas.run(config(place / "photos"), run, resume=True, quiet=True)


@pytest.mark.parametrize(
    "damage",
    [
        [],
        {"dataset": "folder", "classes": "cat"},
        {"dataset": "folder", "classes": ["cat", 3]},
        {"dataset": "folder", "classes": ["a"], "train": {"images": "many"}},
    ],
)
def test_a_record_that_unas_has_not_written_is_one_line(damage: Any, place: Path) -> None:
    path = place / "r" / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "data": damage}))
    with pytest.raises(UserError, match=r"manifest\.json: data.* is .*; it must be"):
        evaluate(place)


def test_a_folder_copied_from_a_mac_has_the_same_classes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = ("café", "thé", "z")
    composed = make_photos(tmp_path / "composed", names)
    run = unas.run(config(composed), tmp_path / "r", quiet=True).directory
    decomposed = tmp_path / "decomposed"
    shutil.copytree(composed, decomposed)
    for name in names[:2]:
        folder = decomposed / "val" / name
        folder.rename(folder.with_name(unicodedata.normalize("NFD", name)))
    figures = evaluate_run(run, str(decomposed), "cpu", TRUST)
    assert figures == evaluate_run(run, str(composed), "cpu", TRUST)
    assert export_run(run, str(decomposed), TRUST)["onnx_max_difference"] < 1e-4
    assert "(café, thé, z)" in capfd.readouterr().err
    add(decomposed / "train" / unicodedata.normalize("NFD", "café"), 3, 1)
    with pytest.raises(UserError, match=r"two folders 'café', .* put their images into one"):
        ImageFolder(size=8).load(decomposed)


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val", "VALIDATION", "test"])
def test_the_test_part_may_have_any_usual_name(name: str, tmp_path: Path) -> None:
    make_photos(tmp_path / "photos", val=0)
    for label, class_name in enumerate(("cat", "dog")):
        add(tmp_path / "photos" / name / class_name, 5, 40 * label)
    data = ImageFolder(size=8).load(tmp_path / "photos")
    assert (len(data.train), len(data.test), data.test_from) == (120, 10, f"{name}/")
    assert data.left_out == ()


def test_what_is_not_read_is_named_with_its_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos = make_photos(tmp_path / "photos")
    add(photos / "test" / "cat", 5, 0)
    add(photos / "train", 2, 9)
    add(photos, 1, 9)
    add(photos / "train" / "cat" / "more", 3, 9)
    for number, suffix in enumerate((".tif", ".TIF", ".gif", ".txt", "")):
        (photos / "train" / "dog" / f"{number}{suffix}").write_bytes(b"")
    (photos / ".cache").mkdir()
    Image.new("RGB", (8, 8)).save(photos / "train" / "dog" / "a.jfif", format="JPEG")
    Image.new("RGB", (8, 8)).save(photos / "train" / "dog" / "b.BMP")
    left_out = (
        "2 images beside the folders of train/",
        "1 folder within those of classes, such as train/cat/more",
        "1 file without a suffix in train/",
        "1 .gif file in train/",
        "2 .tif files in train/",
        "1 .txt file in train/",
        "test/",
        "1 image beside train/",
    )
    data = ImageFolder(size=8).load(photos)
    assert (len(data.train), data.left_out) == (122, left_out)
    unas.run(config(photos), tmp_path / "r", quiet=True)
    assert f"folder: not read: {'; '.join(left_out)}" in caplog.messages
    manifest = json.loads((tmp_path / "r" / MANIFEST).read_text())
    assert manifest["data"]["left_out"] == list(left_out)


def test_a_run_goes_on_from_another_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    words = ["run", "--resume", "--out", str(place / "r"), "--quiet", "--trust", *TRUST]
    document = json.loads((place / "r" / "config.json").read_text())
    document["data_root"] = "photos"
    (place / "r" / "config.json").write_text(json.dumps(document, indent=2) + "\n")
    assert cli.main(words) == 2
    assert "photos has no folder train" in capfd.readouterr().err
    assert cli.main([*words, "--data-root", str(place / "photos")]) == 0
    assert cli.main([*words, "--data-root", "../photos"]) == 0
    _one_more(place)
    assert cli.main([*words, "--data-root", "../photos"]) == 2
    assert "../photos has 3 classes" in capfd.readouterr().err


def test_a_training_goes_on_where_the_file_of_its_architecture_is_not(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    shutil.copy("r/genotype.json", "given.json")
    unas.train(config(Path("photos"), genotype="given.json"), "t", quiet=True)
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    words = ["train", "--resume", "--out", "../t", "--data-root", "../photos", "--trust", *TRUST]
    assert cli.main(words) == 0
    shutil.rmtree("../t/checkpoints")  # as of a run that was stopped before the first
    assert cli.main(words) == 0
    (place / "t" / "genotype.json").unlink()
    assert cli.main(words) == 2
    assert "given.json" in capfd.readouterr().err


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_suffix(".pipe"))
    path.symlink_to(path.with_suffix(".pipe"))


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [_pipe, _link_to_a_pipe, _folder])
def test_what_is_called_as_an_image_and_is_no_file_is_not_opened(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    photos = make_photos(tmp_path, val=0)
    make(photos / "train" / "cat" / "pipe.png")
    data = ImageFolder(size=8, workers=1).load(photos)
    assert len(data.train) + len(data.test) == 120
    assert data.left_out


def test_a_circle_of_links_is_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    photos = make_photos(tmp_path, val=0)
    path = photos / "train" / "cat" / "circle.png"
    path.symlink_to(path)
    data: Any = ImageFolder(size=8, workers=1, max_corrupt=0.1).load(photos)
    assert len(data.train) + len(data.test) == 121
    for images in (data.train, data.test):
        images.read(images.labels.new_tensor(range(len(images)))).result()
    assert len(data.train.skipped) == 1


@pytest.mark.parametrize(
    "name", [b"caf\xe9", b"two\nlines", b"\x1b[31mred", "line\u2028separator".encode()]
)
def test_a_class_whose_name_fits_into_no_line_is_refused_when_the_folder_is_read(
    name: bytes, tmp_path: Path
) -> None:
    photos = make_photos(tmp_path / "photos", val=0)
    folder = Path(os.fsdecode(os.path.join(os.fsencode(photos), b"train", name)))
    add(folder, 3, 9)
    with pytest.raises(UserError, match="in its name; rename it") as caught:
        unas.run(config(photos), tmp_path / "r", quiet=True)
    assert str(caught.value).isprintable()
    assert not (tmp_path / "r").exists()


def test_one_class_is_refused(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", names=("cat",), val=0)
    with pytest.raises(UserError, match="there is one class, 'cat'; give two or more"):
        ImageFolder(size=8).load(photos)


def test_names_of_what_is_not_read_move_no_cursor(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", val=0)
    add(photos / "train" / "cat" / "\x1b[2Jinner", 1, 0)
    (photos / "train" / "cat" / "a.\u202egnp").write_bytes(b"")
    (photos / "\x1b[31mred").mkdir()
    left_out = ImageFolder(size=8).load(photos).left_out
    assert len(left_out) == 3
    assert "".join(left_out).isprintable()
