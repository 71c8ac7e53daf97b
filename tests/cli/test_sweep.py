"""`unas sweep`: which runs there are, what the table says, and runs as processes of this machine."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from unas.cli import main
from unas.cli.sweep_local import run_here
from unas.cli.sweep_ray import run_on_ray
from unas.cli.sweep_runs import SweepRun, runs_of, seeds_of
from unas.cli.sweep_table import Results
from unas.common.errors import UserError

SUPPORT = Path(__file__).parents[1] / "support"
RECIPE = "tiny:tiny_recipe"


def test_every_setting_meets_every_budget_and_seed() -> None:
    runs = runs_of(
        ["digits"],
        [0, 1],
        ["search.epochs=2,4"],
        ["macs<=1M", "macs<=2M & params<=9k"],
        ["--device", "cpu"],
    )
    assert len(runs) == 2 * 2 * 2
    assert len({run.name for run in runs}) == 8
    assert runs[-1].name == "digits-epochs=4-budget=macs_=2M_params_=9k-seed1"
    expected = (
        "run digits --device cpu --search.epochs 4 --budget macs<=2M --budget params<=9k --seed 1"
    )
    assert runs[-1].command(Path("out")) == [
        *expected.split(),
        "--out",
        f"out/{runs[-1].name}",
        "--resume",
        "--quiet",
    ]


def test_a_long_name_is_cut_and_still_its_own() -> None:
    budgets = [
        " & ".join(f"latency<={n}ms@ünït{n}.onnx" for n in range(first, 40)) for first in (0, 0, 1)
    ]
    budgets[1] += " & macs<=1M"
    names = [run.name for run in runs_of(["digits"], [0, 1], [], budgets, [])]
    assert len(set(names)) == 6
    assert all(len(f"{name}.log".encode()) <= 255 for name in names)
    assert [name[-6:] for name in names] == ["-seed0", "-seed1"] * 3


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
        (
            ["digits", "--set", "search.epochs"],
            "--set is 'search.epochs'; write it as --set search.epochs=2,4",
        ),
        (["digits", "--set", "search.epohcs=2,4"], "did you mean --search.epochs?"),
        (["digits", "--seed", "3"], "--seed is not a flag of unas sweep"),
        (["nonsense"], "recipe 'nonsense' does not exist"),
        (["digits", "--jobs", "0"], "--jobs is 0; it must be 1 or more"),
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


def finish(out: Path, run: SweepRun, accuracy: float, difference: float | None = 1e-6) -> None:
    latency = [{"backend": "onnxruntime", "median_ms": 1.25}]
    budgets = [{"budget": "macs<=1M", "passed": accuracy > 0.5}]
    (out / run.name).mkdir()
    summary = {"test_accuracy": accuracy, "macs": 900_000, "latency": latency, "budgets": budgets}
    summary |= {} if difference is None else {"onnx_max_difference": difference}
    (out / run.name / "summary.json").write_text(json.dumps(summary))


def test_the_table_has_every_run_and_means_over_seeds(tmp_path: Path) -> None:
    runs = runs_of(["digits"], [0, 1, 2], ["search.epochs=2,4"], [], [])
    for run, accuracy in zip(runs[:4], (0.5, 0.6, 0.7, 0.9), strict=True):
        finish(tmp_path, run, accuracy)
    results = Results(runs, tmp_path)
    assert results.waiting() == runs[4:]
    results.note(runs[4], 2, "no | such thing")
    table = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert [row["run"] for row in table] == [run.name for run in runs]
    assert [row["state"] for row in table] == ["done"] * 4 + ["failed", "waiting"]
    assert table[4]["message"] == "no | such thing"
    assert [row["test_accuracy"] for row in table] == ["0.5", "0.6", "0.7", "0.9", "", ""]
    assert table[0]["latency_ms"] == "1.25"
    assert [row["budgets"] for row in table[:2]] == ["macs<=1M: FAIL", "macs<=1M: PASS"]
    assert [(row["search.epochs"], row["seeds"]) for row in results.means()] == [
        ("2", "3"),
        ("4", "1"),
    ]
    assert (
        results.means()[0]["test accuracy, mean ± standard deviation"] == "60.00 % ± 10.00"
    )  # of 50, 60, 70
    text = (tmp_path / "results.md").read_text()
    assert "no \\| such thing" in text
    assert (
        len({line.replace("\\|", "").count("|") for line in text.partition("\n\n")[0].splitlines()})
        == 1
    )


@pytest.mark.parametrize("difference", [None, 2e-4])
def test_a_run_whose_onnx_file_is_wrong_is_not_done(
    difference: float | None, tmp_path: Path
) -> None:
    (run,) = runs_of(["digits"], [0], [], [], [])
    finish(tmp_path, run, 0.5, difference)
    assert Results([run], tmp_path).waiting() == [run]


@pytest.mark.parametrize(
    "summary",
    [
        '{"latency": [{"x": 1}]}',
        '{"latency": [{"median_ms": null}]}',
        '{"latency": {"median_ms": 1}}',
        '{"budgets": ["x"]}',
        '{"budgets": [{"budget": "macs<=1M"}]}',
        '{"budgets": [{"budget": 1, "passed": true}]}',
        '{"macs": "a"}',
        '{"test_accuracy": [1]}',
        '{"onnx_max_difference": "0"}',
        '["latency"]',
        '{"latency":',
        "",
    ],
)
def test_a_damaged_summary_is_one_line_and_its_run_is_not_done(
    summary: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    runs = runs_of(["digits"], [0, 1], [], [], [])
    for run in runs:
        finish(tmp_path, run, 0.5)
    damaged = tmp_path / runs[0].name / "summary.json"
    damaged.write_text(summary)
    results = Results(runs, tmp_path)
    (warning,) = caplog.messages
    assert warning.startswith(f"{damaged} ")
    assert warning.endswith("; its run counts as not done")
    assert results.waiting() == runs[:1]
    results.note(runs[0], 0, "")
    assert [row["state"] for row in results.table()] == ["failed", "done"]


class Started:
    """Stands for a process: ended with 0, or going on until it is asked to end."""

    environments: ClassVar[list[dict[str, str]]] = []
    signals: ClassVar[list[int]] = []

    def __init__(self, *_: object, env: dict[str, str], **__: object) -> None:
        self.environments.append(env)
        self.returncode = 0

    def poll(self) -> int | None:
        return None if self.is_going_on else 0

    is_going_on = False

    def send_signal(self, number: int) -> None:
        self.signals.append(number)

    def wait(self) -> int:
        return self.returncode


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> type[Started]:
    monkeypatch.setattr(subprocess, "Popen", Started)
    monkeypatch.setattr(Started, "environments", [])
    monkeypatch.setattr(Started, "signals", [])
    return Started


@pytest.mark.parametrize(
    ("own", "expected"), [("4,5", ["4", "5"]), ("GPU-a, GPU-b", ["GPU-a", "GPU-b"]), ("", "01")]
)
def test_each_run_gets_one_of_the_gpus_that_the_user_has_named(
    own: str,
    expected: Sequence[str],
    started: type[Started],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", own)
    runs = runs_of(["digits"], [0, 1], [], [], [])
    run_here(runs, tmp_path, lambda *_: None, lambda: False, jobs=2, gpus=2)
    assert [each["CUDA_VISIBLE_DEVICES"] for each in started.environments] == [*expected]


def test_a_log_that_cannot_be_written_is_one_line_and_the_other_runs_are_stopped(
    started: type[Started], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(started, "is_going_on", True)
    runs = runs_of(["digits"], [0, 1], [], [], [])
    (tmp_path / f"{runs[1].name}.log").mkdir()
    with pytest.raises(UserError, match=r"seed1\.log can't be written: Is a directory"):
        run_here(runs, tmp_path, lambda *_: None, lambda: False, jobs=2, gpus=0)
    assert started.signals == [signal.SIGTERM]


def test_a_run_that_ends_its_worker_every_time_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, int] = {}

    def remote(**given: int) -> Callable[[object], object]:
        options.update(given)
        return lambda _: None

    fake = SimpleNamespace(
        init=lambda **_: None, cluster_resources=dict, remote=remote, shutdown=lambda: None
    )
    monkeypatch.setitem(sys.modules, "ray", fake)
    run_on_ray("auto", [], tmp_path, lambda *_: None, lambda: False)
    assert 0 < options["max_retries"] < 100


def start(out: Path, *words: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "unas", "sweep", RECIPE, "--out", str(out), *words]
    return subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": paths},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.slow
def test_runs_here_stopped_and_gone_on_with(tmp_path: Path) -> None:
    """Three runs, two at once; stopped by SIGTERM in the middle of the first two, then the same
    command again.
    """
    out = tmp_path / "a sweep"
    words = (
        "--seeds",
        "0",
        "--jobs",
        "2",
        "--set",
        "training.lr=0.1,0.05,0.02",
        "--checkpoint.every-steps",
        "1",
    )
    first = start(out, *words)
    limit = time.monotonic() + 600
    while not list(out.glob("*/checkpoints/*.ckpt")):
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < limit
        time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    _, errors = first.communicate(timeout=600)
    assert first.returncode == 128 + signal.SIGTERM
    assert "runs to go; the same command with --out" in errors.splitlines()[-1]

    again = start(out, *words)
    output, errors = again.communicate(timeout=900)
    assert again.returncode == 0, errors + output
    table = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    assert [row["state"] for row in table] == ["done"] * 3
    assert all(float(row["test_accuracy"]) >= 0 for row in table)
    manifests = [json.loads((out / row["run"] / "manifest.json").read_text()) for row in table]
    assert any(
        manifest.get("resumed") for manifest in manifests
    )  # at least the one that had a checkpoint

    assert main(["sweep", RECIPE, "--out", str(out), "--seeds", "5"]) == 2  # another sweep
