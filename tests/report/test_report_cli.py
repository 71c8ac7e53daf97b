"""`unas report`, and the report at the end of a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import unas
from made_run import checked, made_run
from tiny import tiny_recipe
from unas.cli import main
from unas.common.errors import UserError
from unas.pipeline import api as pipeline


def test_a_report_is_written_where_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made_run(tmp_path / "a")
    made_run(tmp_path / "b", "search")
    for words, path in (
        (["a"], "a/report.html"),
        (["b", "--out", "mine.html"], "mine.html"),
        (["--out=both.html", "a", "b"], "both.html"),
        (["a", "b"], "comparison.html"),
    ):
        assert main(["report", *words]) == 0
        assert capsys.readouterr() == (f"{path}\n", "")
        checked((tmp_path / path).read_text(encoding="utf-8"))
    assert not (tmp_path / "b" / "report.html").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    {
        "": "RUN is missing; it comes first, for example: unas report runs/demo",
        "nowhere": "nowhere is not a run directory: there is no such directory",
        "empty": "empty is not a run directory: it has no config.json",
        "a --uot x.html": "unrecognised flag --uot; did you mean --out?",
        "a --json": "unrecognised flag --json",
        "a --out": "--out needs a value",
        "a --out x.html --out y.html": "--out is given twice; leave one out",
        "a b a/": "a is given twice; leave one out",
        "a a": "a is given twice; leave one out",
        "a --out no/x.html": "no/x.html can't be written: No such file or directory",
        "a --out empty": "empty can't be written: Is a directory",
        "a b nowhere": "nowhere is not a run directory",
    }.items(),
)
def test_a_mistake_is_one_line_and_exit_code_2(
    words: str,
    line: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    made_run(tmp_path / "a")
    made_run(tmp_path / "b")
    (tmp_path / "empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert main(["report", *words.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert line in err
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_help_is_given_wherever_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["report", "--help"], ["report", "runs/x", "--help"]):
        assert main(words) == 0
        assert "example:\n  unas report runs/demo" in capsys.readouterr().out


def test_reading_a_run_needs_no_torch(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    code = (
        f"import sys; from unas.cli import main; assert main(['report', {str(run)!r}]) == 0;"
        " assert not {'torch', 'numpy', 'onnx'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{run}/report.html\n"


def test_a_finished_run_has_its_report_and_says_where(
    finished: unas.Result, capsys: pytest.CaptureFixture[str]
) -> None:
    from unas.cli.output import print_result

    print_result(finished)
    assert f"{finished.directory}/report.html" in capsys.readouterr().out
    checked((finished.directory / "report.html").read_text(encoding="utf-8"))


def test_a_report_that_cannot_be_drawn_does_not_lose_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Any) -> Path:
        raise UserError("the disk is full")

    monkeypatch.setattr(pipeline, "write_report", fails)
    result = unas.search(tiny_recipe(), tmp_path / "run", quiet=True)
    assert result.summary["validation_accuracy"] is not None
    assert not (tmp_path / "run" / "report.html").exists()
    assert caplog.messages == [
        "report.html can't be drawn: the disk is full; the run is complete; "
        f"unas report {tmp_path / 'run'} tries again"
    ]


def test_a_search_alone_has_a_report(tmp_path: Path) -> None:
    unas.search(tiny_recipe(), tmp_path / "run", quiet=True)
    html = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    checked(html)
    assert "architecture found, not trained" in html
