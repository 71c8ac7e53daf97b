"""Run directories from somebody who means ill: nothing outside of them is read, and nothing written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import unas
from unas import files
from unas.cli import main
from unas.errors import UserError
from unas.genotype_files import load_genotype
from unas.network_files import load_network
from unas.run_directory import CONFIG, METRICS, RunDirectory
from unas.run_lock import RunLock

TRUST = ("--trust", "tiny:TinyDigits")


@pytest.fixture
def run(finished: unas.Result, tmp_path: Path) -> Path:
    """A copy of a finished run, to be changed."""
    return Path(shutil.copytree(finished.directory, tmp_path / "run"))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file of the user's that no run directory may reach."""
    path = tmp_path / "thesis.txt"
    path.write_text("years of work")
    return path


def edit(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_a_configuration_does_not_say_where_data_are_read(
    command: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(run / CONFIG, lambda document: document.update(data_root=str(tmp_path / "secret place")))
    assert main([command, str(run), *TRUST]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: {run / CONFIG}: data_root is ")
    assert message.endswith(f"--data-root '{tmp_path}/secret place'\n")


def test_a_configuration_imports_nothing_and_says_which_flag_would(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(run / CONFIG, lambda document: document["dataset"].update(name="antigravity:Dataset"))  # type: ignore[attr-defined]
    assert main(["evaluate", str(run)]) == 2
    assert "antigravity:Dataset" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", [METRICS, "checkpoints", "tensorboard/search", "manifest.json", "model.onnx", "genotype.json"]
)
def test_links_that_lead_out_of_a_run_are_refused(name: str, run: Path, outside: Path) -> None:
    target = outside if "." in name else outside.parent / "folder"
    if target is not outside:
        target.mkdir()
    shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
    (run / name).symlink_to(target)
    for opening in (RunDirectory.open, lambda directory: RunDirectory.resume(directory, {})):
        with pytest.raises(UserError, match=f"{name} is a link that leads out of"):
            opening(run)
    assert outside.read_text() == "years of work"
    assert target is outside or not list(target.iterdir())


@pytest.mark.parametrize("read", [load_genotype, load_network])
def test_links_are_refused_by_what_reads_one_file_of_a_run(read: Callable[[Path], object], run: Path) -> None:
    for name in ("genotype.json", "model.safetensors"):
        (run / name).rename(run.parent / name)
        (run / name).symlink_to(run.parent / name)
    with pytest.raises(UserError, match="is a link that leads out of"):
        read(run)


def test_links_inside_a_run_are_fine(run: Path) -> None:
    (run / "genotype.json").rename(run / "mine.json")
    (run / "genotype.json").symlink_to("mine.json")
    assert load_genotype(run) == load_genotype(run / "mine.json")
    RunDirectory.open(run)


def test_a_lock_is_not_written_through_a_link(run: Path, outside: Path) -> None:
    (run / ".lock").unlink()
    (run / ".lock").symlink_to(outside)
    with pytest.raises(UserError, match=r"\.lock can't be written"):
        RunLock(run)
    assert outside.read_text() == "years of work"


def test_a_file_is_not_written_through_a_link_that_waits_for_it(tmp_path: Path, outside: Path) -> None:
    (tmp_path / f".summary.json.{os.getpid()}.tmp").symlink_to(outside)
    files.write_json(tmp_path / "summary.json", {})
    assert outside.read_text() == "years of work"
    assert json.loads((tmp_path / "summary.json").read_text()) == {}


def test_a_message_does_not_move_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "genotype.json"
    path.write_text(json.dumps({"format": "unas.genotype", "version": "\x1b[2J" + "x" * 10_000}))
    assert main(["show", str(path)]) == 2
    message = capsys.readouterr().err
    assert "\x1b" not in message
    assert len(message) < 2100
