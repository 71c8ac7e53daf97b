"""What a run refuses, in one line and before it has cost anything; and a run that is resumed after
a change.
"""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import unas
from tiny import tiny_recipe
from unas.common.errors import Interrupted
from unas.nn.choice import OpChoice
from unas.runs.directory import RunDirectory
from unas.searching.config import SearchConfig
from unas.spaces.module import ModuleSpace


def a_model() -> nn.Module:
    return nn.Sequential(
        OpChoice({"a": nn.Identity(), "b": nn.ReLU()}), nn.Flatten(), nn.Linear(64, 10)
    )


def test_training_needs_a_genotype(tmp_path: Path) -> None:
    for config in ("digits", "tiny:tiny_recipe", tiny_recipe()):
        with pytest.raises(unas.UserError, match="genotype is not set"):
            unas.train(config, tmp_path / "run")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_search_finds_its_own_genotype(tmp_path: Path) -> None:
    with pytest.raises(
        unas.UserError, match="genotype is 'UNAS_CIFAR10', but a search finds its own"
    ):
        unas.search(replace(tiny_recipe(), genotype="UNAS_CIFAR10"), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_directory_holds_one_run(finished: unas.Result) -> None:
    with pytest.raises(
        unas.UserError, match="already holds a run; add --resume or use another --out"
    ):
        unas.run(tiny_recipe(), finished.directory)
    with pytest.raises(unas.UserError, match="is not this run's configuration"):
        unas.run(replace(tiny_recipe(), seed=1), finished.directory, resume=True)


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (
            {"batch_size": 80, "architectures_per_batch": 0},
            "search.batch_size is 80, but there are 72 training images",
        ),
        (
            {"batch_size": 30, "architectures_per_batch": 0},
            "search.batch_size is 30, but there are 24 validation images",
        ),
    ],
)
def test_a_batch_larger_than_the_data_is_refused(
    search: dict[str, Any], message: str, tmp_path: Path
) -> None:
    config = replace(tiny_recipe(), search=replace(tiny_recipe().search, **search))
    with pytest.raises(unas.UserError, match=message):
        unas.search(config, tmp_path / "run", quiet=True)
    assert not list(tmp_path.iterdir())


def test_a_term_without_a_meaning_is_refused_before_warm_up(tmp_path: Path) -> None:
    space = ModuleSpace(a_model)
    search = SearchConfig(batch_size=24, validation_fraction=0.25)
    config = replace(tiny_recipe(), space=space, network=space.network_options(), search=search)
    with pytest.raises(unas.UserError, match="objective Overlap means nothing in the module space"):
        unas.search(config, tmp_path / "run", quiet=True)
    assert not list(tmp_path.iterdir())


def test_the_message_of_a_stopped_run_names_what_must_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(RunDirectory, "log", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    space, out = ModuleSpace(a_model), tmp_path / "a run"
    objectives = {"gap": tiny_recipe().search.objectives["gap"]}
    config = replace(tiny_recipe(), space=space, network=space.network_options())
    config = replace(config, search=replace(config.search, objectives=objectives))
    with pytest.raises(Interrupted) as stop:
        unas.search(config, out, quiet=True)
    expected = (
        f"unas search --resume --out '{out}' --trust {__name__}:a_model --trust tiny:TinyDigits"
    )
    assert stop.value.command == expected
    assert "finishing this step" in capfd.readouterr().err


def test_a_resumed_training_keeps_its_genotype_when_the_file_it_came_from_has_gone(
    finished: unas.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "genotype.json"
    shutil.copy(finished.directory / "genotype.json", source)
    config = replace(tiny_recipe(), genotype=str(source))
    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "log", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(Interrupted):
            unas.train(config, tmp_path / "run", quiet=True)
    source.unlink()
    resumed = unas.train(config, tmp_path / "run", resume=True, quiet=True)
    assert resumed.genotype == finished.genotype
    assert resumed.summary["test_accuracy"] == finished.summary["test_accuracy"]
