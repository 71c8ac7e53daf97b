"""Run directories from somebody who means ill: nothing outside of them is read, and nothing
written.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import unas
from unas.architecture.genotype import Genotype
from unas.architecture.published import load_genotype
from unas.cli import main, output
from unas.common import documents
from unas.common.errors import Interrupted, UserError
from unas.runs.directory import RunDirectory
from unas.runs.lock import RunLock
from unas.runs.names import CONFIG, METRICS
from unas.runs.network import load_network

TRUST = ("--trust", "tiny:TinyDigits")
# An escape, C1's, one that turns the line around, a return, a deletion
MOVES = "\x1b[2J\x9b1A\u202e\r\x7f"


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
    "name",
    [
        METRICS,
        "checkpoints",
        "tensorboard/search",
        "finalists/0",
        "manifest.json",
        "model.onnx",
        "genotype.json",
    ],
)
def test_links_that_lead_out_of_a_run_are_refused(name: str, run: Path, outside: Path) -> None:
    target = outside if "." in name else outside.parent / "folder"
    if target is not outside:
        target.mkdir()
    if (run / name).is_dir():
        shutil.rmtree(run / name)
    (run / name).unlink(missing_ok=True)
    (run / name).parent.mkdir(exist_ok=True)
    (run / name).symlink_to(target)
    for opening in (RunDirectory.open, lambda directory: RunDirectory.resume(directory, {})):
        with pytest.raises(UserError, match=f"{name} is a link that leads out of"):
            opening(run)
    assert outside.read_text() == "years of work"
    assert target is outside or not list(target.iterdir())


@pytest.mark.parametrize("name", [METRICS, "tensorboard"])
@pytest.mark.parametrize("target", ["nowhere.txt", "run/nowhere.txt"])
def test_nothing_is_made_where_a_link_of_a_new_run_leads(
    name: str, target: str, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(tmp_path / target)
    with pytest.raises(UserError, match=r"is a link that leads out of|holds .* but no"):
        RunDirectory.create(tmp_path / "run", "{}", {})
    assert not (tmp_path / target).exists()


@pytest.mark.parametrize("read", [load_genotype, load_network])
def test_links_are_refused_by_what_reads_one_file_of_a_run(
    read: Callable[[Path], object], run: Path
) -> None:
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


def test_a_file_is_not_written_through_a_link_that_waits_for_it(
    tmp_path: Path, outside: Path
) -> None:
    (tmp_path / f".summary.json.{os.getpid()}.tmp").symlink_to(outside)
    documents.write_json(tmp_path / "summary.json", {})
    assert outside.read_text() == "years of work"
    assert json.loads((tmp_path / "summary.json").read_text()) == {}


def test_a_message_does_not_move_the_cursor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "genotype.json"
    path.write_text(json.dumps({"format": "unas.genotype", "version": "\x1b[2J" + "x" * 10_000}))
    assert main(["show", str(path)]) == 2
    message = capsys.readouterr().err
    assert "\x1b" not in message
    assert len(message) < 2100


def is_plain_text(text: str) -> bool:
    return bool(text) and all(c.isprintable() for c in text.replace("\n", ""))


def test_what_a_command_prints_of_a_run_does_not_move_the_cursor(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts = [{"line": f"PASS {MOVES}", "passed": True}]
    summary = {f"accuracy{MOVES}": 0.5, "alarms": [MOVES], "budgets": verdicts}
    output.print_figures(summary, title=MOVES)
    output.print_result(unas.Result(run, Genotype(MOVES, {MOVES: MOVES}), summary))
    output.print_rows([(MOVES, MOVES)])
    printed = capsys.readouterr().out
    assert is_plain_text(printed)
    assert printed.count("\nPASS \\u001b[2J") == 2


@pytest.mark.parametrize("choices", [{MOVES: MOVES}, {"c/node0/input0": "0", "c/node0/op0": MOVES}])
def test_a_drawing_in_the_terminal_does_not_move_the_cursor(
    choices: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "\u202egenotype\x9b.json"
    path.write_text(Genotype(f"somebody:{MOVES}", choices).to_json())
    assert main(["show", str(path)]) == 0
    assert is_plain_text(capsys.readouterr().out)


def test_a_dry_run_prints_json_that_does_not_move_the_cursor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "digits", "--dry-run", "--data-root", f"data{MOVES}\U000e0001"]) == 0
    printed = capsys.readouterr().out
    assert is_plain_text(printed)
    assert json.JSONDecoder().raw_decode(printed)[0]["data_root"] == f"data{MOVES}\U000e0001"


def test_a_stopped_run_is_told_without_moving_the_cursor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise Interrupted(Path(MOVES), MOVES, 1, f"unas {MOVES}")

    monkeypatch.setattr("unas.cli.show.show", stop)
    assert main(["show", "x"]) == 130
    message = capsys.readouterr().err
    assert is_plain_text(message)
    assert message.count("\n") == 1
