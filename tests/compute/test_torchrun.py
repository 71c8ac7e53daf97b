"""Whole runs under torchrun: as one process alone, stopped and resumed with another number, killed,
on two nodes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, CompletedProcess
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import unas
from plain_model import plain_recipe
from processes import environment, torchrun
from unas.budgets.budget import read_budgets
from unas.common.errors import Interrupted
from unas.runs.directory import RunDirectory
from unas.runs.names import FINALISTS, GENOTYPE, MANIFEST, METRICS, ONNX, POLICY, SUMMARY, WEIGHTS

RECIPE = "plain_model:plain_recipe"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one process."""
    return unas.run(plain_recipe(), tmp_path_factory.mktemp("alone") / "run", quiet=True).directory


@pytest.fixture(scope="module")
def killed(
    alone: Path,  # noqa: ARG001  forks of a process that has exported before
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, CompletedProcess[str]]:
    """A run of two processes, one of which was killed in the search."""
    run = tmp_path_factory.mktemp("killed") / "run"
    words = ("dying", "search:5@1", "SIGKILL", "run", RECIPE, "--out", str(run))
    return run, torchrun(*words, max_restarts=1)


def numbers(run: Path) -> dict[str, Any]:
    """Return all figures of a run that no clock decides."""
    summary = json.loads((run / SUMMARY).read_text())
    for name in ("latency", "onnx_max_difference"):
        summary.pop(name)
    metrics = [json.loads(line) for line in (run / METRICS).read_text().splitlines()]
    policy = json.loads((run / POLICY).read_text())
    return {
        "summary": summary,
        "metrics": metrics,
        "policy": policy,
        "finalists": json.loads((run / FINALISTS).read_text())["trainings"],
        "weights": load_file(run / WEIGHTS),
    }


def assert_as_alone(run: Path, alone: Path) -> None:
    assert (run / GENOTYPE).read_bytes() == (alone / GENOTYPE).read_bytes()
    # In float32: sums of half a batch each are rounded otherwise, and Adam divides by small numbers
    # at first.
    torch.testing.assert_close(_leaves(numbers(run)), _leaves(numbers(alone)), rtol=1e-3, atol=1e-4)


def _leaves(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _leaves(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_leaves(item) for item in value]
    return hash(value) if isinstance(value, str) else value


def test_a_killed_rank_is_restarted_and_the_run_ends_as_if_nothing_was(
    killed: tuple[Path, CompletedProcess[str]], alone: Path
) -> None:
    run, done = killed
    assert done.returncode == 0, done.stderr
    assert_as_alone(run, alone)
    manifest = json.loads((run / MANIFEST).read_text())
    assert manifest["processes"] == 2
    # By itself: --resume was not given.
    assert [life["processes"] for life in manifest["resumed"]] == [2]
    assert done.stdout.count("run directory") == 1  # rank 0 speaks for all
    line = "2 processes: search 24 images a step, 12 each, training 24 images a step, 12 each; learning rates are those"
    assert done.stderr.count(line) == 2


def test_two_nodes_end_with_the_same_bytes_as_one(
    killed: tuple[Path, CompletedProcess[str]], tmp_path: Path
) -> None:
    """Two agents that find each other through a c10d rendezvous on loopback, each with one process."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    run = tmp_path / "run"
    words = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-id", "two"]
    words += ["--rdzv-endpoint", f"127.0.0.1:{port}", "--local-addr", "127.0.0.1"]
    command = [sys.executable, "-m", "torch.distributed.run", *words]
    command += ["-m", "unas", "run", RECIPE, "--out", str(run)]
    agents = [
        subprocess.Popen(command, env=environment(), text=True, stdout=PIPE, stderr=PIPE)
        for _ in range(2)
    ]
    results = [(*agent.communicate(timeout=900), agent.returncode) for agent in agents]
    assert [code for *_, code in results] == [0, 0], results
    for name in (METRICS, POLICY, FINALISTS, GENOTYPE, WEIGHTS, ONNX):
        assert (run / name).read_bytes() == (killed[0] / name).read_bytes(), name


def test_two_processes_one_and_two_again(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint made by some processes goes on with another number of them; all stop after the
    same step.
    """
    run = tmp_path / "run"
    stopped = torchrun("dying", "search:4@1", "SIGTERM", "run", RECIPE, "--out", str(run))
    assert stopped.returncode != 0
    told = f"stopped after search step 4, saved in {run}; go on with: unas run --resume"
    assert stopped.stderr.count(told) == 1
    assert "Traceback" not in stopped.stderr.partition("torch/distributed/elastic")[0]

    monkeypatch.setattr(RunDirectory, "log", stopping_after(("training", 3), RunDirectory.log))
    with pytest.raises(Interrupted):
        unas.run(plain_recipe(), run, resume=True, quiet=True)
    monkeypatch.undo()

    trusted = ("--trust", "plain_model:PlainModel", "--trust", "tiny:TinyDigits")
    resumed = torchrun("unas", "run", "--resume", "--out", str(run), *trusted)
    assert resumed.returncode == 0, resumed.stderr
    assert_as_alone(run, alone)
    manifest = json.loads((run / MANIFEST).read_text())
    assert [life["processes"] for life in manifest["resumed"]] == [1, 2]


def stopping_after(where: tuple[str, int], log: Callable[..., None]) -> Callable[..., None]:
    def stopping_log(self: RunDirectory, *arguments: Any) -> None:
        log(self, *arguments)
        if arguments[:2] == where:
            os.kill(os.getpid(), signal.SIGTERM)

    return stopping_log


def test_budgets_are_counted_and_measured_by_one_rank_for_all(tmp_path: Path) -> None:
    """The counted one binds; the measured one is met by anything, so that no clock decides what is
    found.
    """
    budgets = ("macs<=20k", "latency<=10s@onnxruntime")
    alone = unas.run(
        replace(plain_recipe(), budgets=read_budgets(budgets)), tmp_path / "alone", quiet=True
    )
    run = tmp_path / "run"
    words = [word for budget in budgets for word in ("--budget", budget)]
    done = torchrun("unas", "run", RECIPE, "--out", str(run), *words)
    assert done.returncode == 0, done.stderr
    verdicts = [line.split(":")[0] for line in done.stdout.splitlines()[-2:]]
    assert verdicts == [f"PASS {budget}" for budget in budgets]
    assert done.stderr.count("networks measured") == 1
    counted = json.loads((run / SUMMARY).read_text())["budgets"][0]
    assert counted == alone.summary["budgets"][0]
    assert (run / GENOTYPE).read_bytes() == (alone.directory / GENOTYPE).read_bytes()


def test_a_mistake_is_one_line_and_all_end(alone: Path) -> None:
    done = torchrun("unas", "run", RECIPE, "--out", str(alone))
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert lines == [f"error: {alone} already holds a run; add --resume or use another --out"]
