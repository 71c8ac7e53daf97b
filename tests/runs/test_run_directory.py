import contextlib
import inspect
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from unas.common.errors import UserError
from unas.runs.checkpoints import read_checkpoint
from unas.runs.directory import RunDirectory
from unas.runs.metrics import read_metrics

MANIFEST = {"seed": 1}


def advance(run: RunDirectory, kill_at: int | None = None) -> None:
    at = run.checkpoint
    value = torch.zeros(()) if at is None else at.state["value"]
    for step in range(0 if at is None else at.step, 12):
        value = torch.sin(value + step)
        run.log("search", step + 1, {"loss": value.item()}, {"seconds": 1.0})
        if step + 1 == kill_at:
            with run.path("metrics.jsonl").open("ab", buffering=0) as file:
                file.write(b'{"phase": "sea')
            os.kill(os.getpid(), signal.SIGKILL)
        if (step + 1) % 4 == 0:
            run.save_checkpoint("search", step + 1, {"value": value})


def test_a_killed_and_resumed_run_writes_the_same_metrics(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "whole", "{}", MANIFEST) as run:
        advance(run)
    for kill_at in (2, 6):
        code = f"""
import os, signal, sys, torch
from unas.runs.directory import RunDirectory
{inspect.getsource(advance)}
advance(RunDirectory.create(sys.argv[1], "{{}}", {{"seed": 1}}), {kill_at})
"""
        killed = tmp_path / f"killed{kill_at}"
        done = subprocess.run([sys.executable, "-c", code, str(killed)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert [line["step"] for line in read_metrics(killed / "metrics.jsonl")] == list(
            range(1, kill_at + 1)
        )
        with RunDirectory.resume(killed, {"seed": 1, "again": True}) as run:
            assert run.checkpoint is None if kill_at < 4 else run.checkpoint.step == 4
            advance(run)
        assert (killed / "metrics.jsonl").read_bytes() == (
            tmp_path / "whole/metrics.jsonl"
        ).read_bytes()
        assert json.loads((killed / "manifest.json").read_text())["resumed"] == [
            {"seed": 1, "again": True}
        ]


def scalars(directory: Path, phase: str, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(directory / "tensorboard" / phase))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(f"{phase}/{tag}")]


@pytest.fixture
def a_second_later(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the clock jump: TensorBoard orders files by the second, then by a number of the process,
    as text.
    """

    def jump() -> None:
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + 1)

    return jump


def test_tensorboard_shows_a_resumed_step_once_and_leaves_other_phases_alone(
    tmp_path: Path, a_second_later: Callable[[], None]
) -> None:
    with RunDirectory.create(tmp_path, "{}", MANIFEST) as run:
        for step in (1, 2, 3, 4, 5):
            run.log("search", step, {"loss": step})
        run.log("train", 1, {"loss": 1.0})
        run.save_checkpoint("train", 1, {})
        run.log("train", 2, {"loss": 2.0}, {"images_per_second": 99.0})
        run.log("train", 3, {"loss": 3.0})
    a_second_later()
    with RunDirectory.resume(tmp_path, MANIFEST) as run:
        run.log("train", 2, {"loss": 20.0}, {"images_per_second": 50.0})
    assert scalars(tmp_path, "search", "loss") == [(step, step) for step in (1, 2, 3, 4, 5)]
    assert scalars(tmp_path, "train", "loss") == [(1, 1.0), (2, 20.0)]
    assert scalars(tmp_path, "train", "images_per_second") == [(2, 50.0)]
    assert "images_per_second" not in (tmp_path / "metrics.jsonl").read_text()


def test_tensorboard_forgets_a_later_phase_that_is_done_again(
    tmp_path: Path, a_second_later: Callable[[], None]
) -> None:
    with RunDirectory.create(tmp_path, "{}", MANIFEST) as run:
        run.log("search", 5, {"loss": 5.0})
        run.save_checkpoint("search", 5, {})
        run.log("train", 1, {"loss": 1.0})
    a_second_later()
    with RunDirectory.resume(tmp_path, MANIFEST) as run:
        run.log("train", 1, {"loss": 10.0})
    assert scalars(tmp_path, "search", "loss") == [(5, 5.0)]
    assert scalars(tmp_path, "train", "loss") == [(1, 10.0)]


def test_a_run_goes_on_without_tensorboard_where_events_cannot_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RunDirectory.create(tmp_path, "{}", MANIFEST) as run:
        (tmp_path / "tensorboard").write_text("in the way")
        run.log("search", 1, {"loss": 1.0})
        run.log("search", 2, {"loss": 1.0})
    assert [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl")] == [1, 2]
    assert len(caplog.records) == 1
    assert "no more TensorBoard events" in caplog.text


def test_files_of_a_new_run(tmp_path: Path) -> None:
    with RunDirectory.create(tmp_path / "a" / "run", '{"steps": 3}', MANIFEST) as run:
        run.write_json("policy.json", {"op": [0.5, float("nan")]})
        run.save_checkpoint("search", 3, {"weights": torch.ones(2)})
        assert run.saved == ("search", 3)
    (path,) = (tmp_path / "a/run/checkpoints").iterdir()
    assert read_checkpoint(path).step == 3
    reader = RunDirectory.open(tmp_path / "a" / "run")
    assert reader.read_json("config.json") == {"steps": 3}
    assert reader.read_json("manifest.json") == MANIFEST
    assert reader.read_json("policy.json") == {"op": [0.5, None]}
    with pytest.raises(RuntimeError, match="opened for reading"):
        reader.log("search", 1, {})


def test_a_directory_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path, "{}", MANIFEST).close()
    with pytest.raises(UserError, match=r"already holds a run; add --resume or use another --out"):
        RunDirectory.create(tmp_path, "[]", MANIFEST)
    assert (tmp_path / "config.json").read_text() == "{}"
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"holds metrics\.jsonl but no config\.json"):
        RunDirectory.create(tmp_path, "[]", MANIFEST)


@pytest.mark.parametrize("bad", ["file", "file/run", "a\0b", "x" * 300])
def test_a_path_that_cannot_be_made_is_one_line(tmp_path: Path, bad: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"^[^\n]+ can't be written: [^\n]+$"):
        RunDirectory.create(tmp_path / bad, "{}", MANIFEST)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_directory_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"):
        RunDirectory.create(tmp_path / "run", "{}", MANIFEST)
    with pytest.raises(UserError, match="Permission denied"):
        RunDirectory.create(tmp_path, "{}", MANIFEST)


def test_what_is_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config\.json"):
        RunDirectory.open(tmp_path)
    with pytest.raises(UserError, match="no such directory"):
        RunDirectory.resume(tmp_path / "missing", MANIFEST)


@pytest.mark.parametrize("manifest", ["[]", '{"resumed": 3}', '{"seed"'])
def test_a_damaged_manifest_is_one_line_and_the_lock_is_free_again(
    tmp_path: Path, manifest: str
) -> None:
    RunDirectory.create(tmp_path, "{}", MANIFEST).close()
    (tmp_path / "manifest.json").write_text(manifest)
    for _ in range(2):
        with pytest.raises(UserError, match=r"manifest\.json"):
            RunDirectory.resume(tmp_path, MANIFEST)


HOLDER = """
import os, pathlib, sys, time
from unas.runs.lock import RunLock
lock = RunLock(pathlib.Path(sys.argv[1]))
child = "fork" in sys.argv and os.fork() == 0
if child or "fork" not in sys.argv:
    print(os.getpid(), flush=True)
time.sleep(60)
"""


@contextlib.contextmanager
def holder(directory: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, str(directory), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_by_host_and_pid_until_the_first_is_killed(
    tmp_path: Path,
) -> None:
    RunDirectory.create(tmp_path, "{}", MANIFEST).close()
    with holder(tmp_path) as process:
        assert int(process.stdout.readline()) == process.pid
        expected = f"in use by process {process.pid} on {re.escape(socket.gethostname())}; .*--out"
        with pytest.raises(UserError, match=expected):
            RunDirectory.resume(tmp_path, MANIFEST)
        assert RunDirectory.open(tmp_path).read_json("config.json") == {}
        process.kill()
        process.wait()
        RunDirectory.resume(tmp_path, MANIFEST).close()


def test_a_forked_child_does_not_keep_the_lock_of_its_killed_parent(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path, "{}", MANIFEST).close()
    with holder(tmp_path, "fork") as process:
        child = int(process.stdout.readline())
        try:
            process.kill()
            process.wait()
            os.kill(child, 0)  # it is alive
            with RunDirectory.resume(tmp_path, MANIFEST) as run:
                assert run.directory == tmp_path
        finally:
            os.kill(child, signal.SIGKILL)


def test_two_in_one_process_are_refused_too(tmp_path: Path) -> None:
    with (
        RunDirectory.create(tmp_path, "{}", MANIFEST),
        pytest.raises(UserError, match=f"in use by process {os.getpid()}"),
    ):
        RunDirectory.resume(tmp_path, MANIFEST)
