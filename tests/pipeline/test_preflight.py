"""What a run would cost: steps as the run has them, and phases of no steps at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tiny import SEARCH_STEPS, TRAINING_STEPS, tiny_recipe
from unas import data
from unas.cli import main
from unas.pipeline.estimate import Estimate
from unas.pipeline.opening import new_directory
from unas.pipeline.preflight import preflight


def test_the_steps_are_those_of_the_run() -> None:
    figures = preflight(tiny_recipe())
    assert figures["search_steps"] == SEARCH_STEPS
    assert figures["training_steps"] == TRAINING_STEPS
    seconds = sum(
        figures[f"{phase}_steps"] * figures[f"{phase}_seconds_a_step"]
        for phase in ("search", "training")
    )
    assert figures["total_seconds"] == pytest.approx(seconds)
    assert seconds > 0


def test_a_search_alone_trains_nothing() -> None:
    figures = preflight(tiny_recipe(), "search")
    assert not any("training" in name for name in figures)
    searching = figures["search_steps"] * figures["search_seconds_a_step"]
    assert figures["total_seconds"] == pytest.approx(searching)


def test_a_phase_of_no_steps_takes_no_time() -> None:
    tiny = tiny_recipe()
    search = replace(tiny.search, warm_up_epochs=0, epochs=0)
    training = replace(tiny.training, warm_up_epochs=0, epochs=0)
    figures = preflight(replace(tiny, search=search, training=training))
    assert figures["search_steps"] == figures["training_steps"] == 0
    assert figures["total_seconds"] == 0


def test_a_dry_run_without_training_shows_the_search(capsys: pytest.CaptureFixture[str]) -> None:
    words = "run tiny:tiny_recipe --dry-run --training.epochs 0 --training.warm-up-epochs 0"
    assert main(words.split()) == 0
    assert "training steps" in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(set(data.names()) - {"folder"}))
def test_a_known_size_is_that_of_the_data(name: str, tmp_path: Path) -> None:
    size = data.get(name)().known_size(tmp_path)
    assert size is not None
    published = {
        "digits": (1797, 0),
        "fashion_mnist": (60_000, 10_000),
        "cifar10": (50_000, 10_000),
        "cifar100": (50_000, 10_000),
        "imagenet": (1_281_167, 50_000),
    }
    train, test = published[name]
    assert size.train + size.test == train + test
    assert size.num_classes == data.get(name).num_classes
    assert size.image_shape[0] == data.get(name).image_channels


def test_the_known_size_of_the_digits_is_what_is_loaded(tmp_path: Path) -> None:
    assert data.get("digits")().known_size(tmp_path) == data.get("digits")().load(tmp_path).size


def test_a_tree_of_photographs_is_asked_itself(tmp_path: Path) -> None:
    imagenet = data.get("imagenet")()
    assert imagenet.known_size(tmp_path) is not None
    (tmp_path / "imagenet" / "train").mkdir(parents=True)
    assert imagenet.known_size(tmp_path) is None


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (
            "train imagenet --genotype UNAS_IMAGENET",
            ["C = 46", "5,073,949", "312,750", "1,281,167"],
        ),
        ("train imagenet-mobile --genotype UNAS", ["750,600", "1,000 classes"]),
    ],
)
def test_a_dry_run_needs_no_data_of_a_known_data_set(
    words: str,
    shown: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planted = Estimate(1.0, 1e9, "4")  # steps of these networks take seconds
    monkeypatch.setattr("unas.pipeline.preflight.of_training", lambda *_: planted)
    assert main([*words.split(), "--dry-run", "--device=cpu", f"--data-root={tmp_path}"]) == 0
    output = capsys.readouterr().out
    for text in shown:
        assert text in output
    assert not list(tmp_path.iterdir())


def test_a_dry_run_of_a_folder_must_read_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"run digits --dataset folder --dry-run --data-root={tmp_path}"
    assert main(words.split()) == 2
    assert "has no folder train" in capsys.readouterr().err


def test_a_dry_run_tries_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    words = "run digits --space own_models:Dictionary --dry-run"
    assert main(words.split()) == 2
    assert "must give [" in capsys.readouterr().err


def test_a_new_directory_is_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    directories = []
    for _ in range(3):
        directory = new_directory("digits")
        assert not directory.exists()
        directory.mkdir(parents=True)
        directories.append(directory)
    assert len(set(directories)) == 3
    assert {directory.parent for directory in directories} == {Path("runs")}
