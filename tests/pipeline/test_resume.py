"""A run whose process is killed again and again ends with the same bytes as one that was never
stopped.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

import processes
import unas
from processes import fresh
from tiny import SEARCH_STEPS, TRAINING_STEPS, tiny_recipe
from unas.common.errors import Interrupted, UserError
from unas.pipeline.deployed import DeployedCosts
from unas.pipeline.opening import work_in
from unas.runs.checkpoints import Checkpoints
from unas.runs.directory import RunDirectory
from unas.runs.names import (
    CANDIDATES,
    CHECKPOINTS,
    GENOTYPE,
    METRICS,
    ONNX,
    POLICY,
    REPORT,
    SUMMARY,
    WEIGHTS,
)

SAME_BYTES = (METRICS, POLICY, CANDIDATES, GENOTYPE, WEIGHTS, ONNX)


def newest(run: Path) -> tuple[str, int]:
    checkpoint = Checkpoints(run / CHECKPOINTS).load_newest()
    assert checkpoint is not None
    return checkpoint.phase, checkpoint.step


def without_clock(run: Path) -> dict[str, object]:
    summary = json.loads((run / SUMMARY).read_text())
    assert summary.pop("latency")
    return summary  # type: ignore[no-any-return]


def assert_same_artefacts(run: Path, whole: Path) -> None:
    for name in SAME_BYTES:
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
    assert without_clock(run) == without_clock(whole)
    assert (run / REPORT).is_file()  # with the clock and the resumes in it, it differs
    assert not list(run.rglob("*.tmp"))


@pytest.mark.slow
def test_kills_change_nothing(finished: unas.Result, tmp_path: Path) -> None:
    run = tmp_path / "a run"
    resumed = ("run", "tiny:tiny_recipe", "--resume", "--out", str(run))

    killed = fresh("dying", "search:5", "SIGKILL", "run", "tiny:tiny_recipe", "--out", str(run))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert newest(run) == ("search", 4)

    stopped = processes.run("dying", "search:7", "SIGTERM", *resumed)
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr
    assert newest(run) == ("search", 7)
    last_line = stopped.stderr.splitlines()[-1]
    assert last_line.startswith(
        f"stopped after search step 7, saved in {run}; go on with: unas run --resume "
    )

    # Word for word what the message says, with a trap at the end of the search.
    words = shlex.split(last_line.partition("go on with: unas ")[2])
    killed = fresh("dying", "between", "SIGKILL", *words)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert newest(run) == ("search", SEARCH_STEPS)
    assert not (run / GENOTYPE).exists()

    killed = processes.run("dying", "training:5", "SIGKILL", *resumed)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert newest(run) == ("training", 4)

    done = processes.run("unas", *resumed)
    assert done.returncode == 0, done.stderr
    assert_same_artefacts(run, finished.directory)


def test_stopping_after_every_single_step_changes_nothing(
    finished: unas.Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, stops = RunDirectory.log, []

    def stopping_log(self: RunDirectory, *arguments: Any) -> None:
        log(self, *arguments)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(RunDirectory, "log", stopping_log)
    while True:
        try:
            unas.run(tiny_recipe(), tmp_path / "run", resume=True, quiet=True)
            break
        except Interrupted as stop:
            stops.append((stop.phase, stop.step))
    expected = [("search", step + 1) for step in range(SEARCH_STEPS)]
    assert stops == expected + [("training", step + 1) for step in range(TRAINING_STEPS)]
    assert_same_artefacts(tmp_path / "run", finished.directory)


def test_a_resumed_run_that_cannot_be_prepared_leaves_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stopped before its first checkpoint, so what it had measured is measured again."""
    run = tmp_path / "run"
    with work_in(tiny_recipe(), run, "search", resume=False, quiet=True):
        pass

    def fail(_: DeployedCosts) -> None:
        raise UserError("no clock here")

    with monkeypatch.context() as patch:
        patch.setattr(DeployedCosts, "prepare", fail)
        opening = work_in(tiny_recipe(), run, "search", resume=True, quiet=True)
        with pytest.raises(UserError, match="no clock here"), opening:
            pass
    with work_in(tiny_recipe(), run, "search", resume=True, quiet=True) as work:
        assert work.session.run.checkpoint is None
