"""`unas sweep`: which runs there are, what the table says, and runs as processes of this machine."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unas.cli import main
from unas.cli.sweep_rows import Row, rows_of, seeds_of
from unas.cli.sweep_table import Results
from unas.errors import UserError

HERE = Path(__file__).parent
RECIPE = "plain_model:plain_recipe"


def test_every_setting_meets_every_budget_and_seed() -> None:
    rows = rows_of(
        ["digits"], [0, 1], ["search.epochs=2,4"], ["macs<=1M", "macs<=2M & params<=9k"], ["--device", "cpu"]
    )
    assert len(rows) == 2 * 2 * 2
    assert len({row.name for row in rows}) == 8
    assert rows[-1].name == "digits-epochs=4-budget=macs_=2M_params_=9k-seed1"
    expected = "run digits --device cpu --search.epochs 4 --budget macs<=2M --budget params<=9k --seed 1"
    assert rows[-1].command(Path("out")) == [*expected.split(), "--out", f"out/{rows[-1].name}", "--resume", "--quiet"]


@pytest.mark.parametrize(("text", "seeds"), [("3", [3]), ("0,2,1", [0, 2, 1]), ("4-6", [4, 5, 6])])
def test_seeds(text: str, seeds: list[int]) -> None:
    assert seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "1,", "5-4", "-1", "0-999999999"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="--seeds is "):
        seeds_of(text)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["digits", "--seeds", "0,0"], "called digits-seed0; give every value once"),
        (["digits", "--set", "search.epochs"], "--set is 'search.epochs'; write it as --set search.epochs=2,4"),
        (["digits", "--set", "search.epohcs=2,4"], "did you mean --search.epochs?"),
        (["digits", "--seed", "3"], "--seed is not a flag of unas sweep"),
        (["nonsense"], "recipe 'nonsense' does not exist"),
        (["digits", "--jobs", "0"], "--jobs is '0'"),
        ([], "RECIPE is missing"),
    ],
)
def test_a_mistake_is_one_line_before_anything_runs(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", *words, "--out", str(tmp_path / "sweep")]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "sweep").exists()


def finish(out: Path, row: Row, accuracy: float) -> None:
    latency = [{"backend": "onnxruntime", "median_ms": 1.25}]
    budgets = [{"budget": "macs<=1M", "passed": accuracy > 0.5}]
    (out / row.name).mkdir()
    summary = {"test_accuracy": accuracy, "macs": 900_000, "latency": latency, "budgets": budgets}
    (out / row.name / "summary.json").write_text(json.dumps(summary))


def test_the_table_has_every_run_and_means_over_seeds(tmp_path: Path) -> None:
    rows = rows_of(["digits"], [0, 1, 2], ["search.epochs=2,4"], [], [])
    for row, accuracy in zip(rows[:4], (0.5, 0.6, 0.7, 0.9), strict=True):
        finish(tmp_path, row, accuracy)
    results = Results(rows, tmp_path)
    assert results.waiting() == rows[4:]
    results.note(rows[4], 2, "no | such thing")
    table = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert [row["run"] for row in table] == [row.name for row in rows]
    assert [row["state"] for row in table] == ["done"] * 4 + ["failed", "waiting"]
    assert table[4]["message"] == "no | such thing"
    assert [row["test_accuracy"] for row in table] == ["0.5", "0.6", "0.7", "0.9", "", ""]
    assert table[0]["latency_ms"] == "1.25"
    assert [row["budgets"] for row in table[:2]] == ["macs<=1M: FAIL", "macs<=1M: PASS"]
    assert [(row["search.epochs"], row["seeds"]) for row in results.means()] == [("2", "3"), ("4", "1")]
    assert results.means()[0]["test accuracy, mean ± standard deviation"] == "60.00 % ± 10.00"  # of 50, 60, 70
    text = (tmp_path / "results.md").read_text()
    assert "no \\| such thing" in text
    assert len({line.replace("\\|", "").count("|") for line in text.partition("\n\n")[0].splitlines()}) == 1


def start(out: Path, *words: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "unas", "sweep", RECIPE, "--out", str(out), *words]
    return subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": paths}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.slow
def test_runs_here_stopped_and_gone_on_with(tmp_path: Path) -> None:
    """Four runs, two at once; stopped by SIGTERM in the middle of the first two, then the same command again."""
    out = tmp_path / "a sweep"
    words = ("--seeds", "0,1", "--jobs", "2", "--set", "training.lr=0.1,0.05", "--checkpoint.every-steps", "1")
    first = start(out, *words)
    limit = time.monotonic() + 600
    while not list(out.glob("*/checkpoints/*.ckpt")):
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < limit
        time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    _, errors = first.communicate(timeout=600)
    assert first.returncode == 2
    assert "runs to go; the same command with --out" in errors.splitlines()[-1]

    again = start(out, *words)
    output, errors = again.communicate(timeout=900)
    assert again.returncode == 0, errors + output
    table = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    assert [row["state"] for row in table] == ["done"] * 4
    assert all(float(row["test_accuracy"]) >= 0 for row in table)
    manifests = [json.loads((out / row["run"] / "manifest.json").read_text()) for row in table]
    assert any(manifest.get("resumed") for manifest in manifests)  # at least the one that had a checkpoint

    assert main(["sweep", RECIPE, "--out", str(out), "--seeds", "5"]) == 2  # another sweep
