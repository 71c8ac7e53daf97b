"""The command backend against real commands, some of which fail in every way a command can."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from unas.common.errors import UserError
from unas.latency import Latency, measure, measure_file
from unas.latency.backends import create
from unas.latency.backends.command import CommandBackend

NETWORK = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """Return what writes a Python program and returns the command line that runs it."""

    def write(text: str) -> str:
        path = tmp_path / "clock it.py"  # the blank must survive
        path.write_text(text)
        return f"{sys.executable} '{path}'"

    return write


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"whatever")
    return path


def timed(command: str, model: Path, timeout: float = 20.0, **options: Any) -> Latency:
    return measure_file(model, (3, 8, 8), CommandBackend(command, timeout), **options)


def test_the_command_gets_a_model_that_onnx_can_read_and_its_median_is_taken(
    script: Callable[[str], str], tmp_path: Path
) -> None:
    seen = tmp_path / "seen.txt"
    command = script(
        "import sys\n"
        f"with open({str(seen)!r}, 'a') as file: file.write(sys.argv[2] + '\\n')\n"
        "import onnx\n"
        "model = onnx.load(sys.argv[2])\n"
        "assert any(node.op_type == 'Conv' for node in model.graph.node)\n"
        "for sample in range(30): print(2 + sample % 3)\n"
    )
    latency = measure(NETWORK, (3, 8, 8), create("command", command=command + " --model {model}"))
    assert (latency.median_ms, latency.backend, latency.samples) == (3.0, "command", 50)
    assert latency.fingerprint.backend_version.startswith(sys.executable)
    assert latency.fingerprint.processor == "remote"
    calls = seen.read_text().split()
    assert len(calls) == 2  # 10 to warm up and 50 samples, 30 at a time
    assert not Path(calls[0]).exists()  # the temporary file is gone with the measurement


def test_the_path_follows_where_no_place_is_given(
    script: Callable[[str], str], model: Path
) -> None:
    command = script(
        "import sys\n"
        "assert sys.argv[1].endswith('model.onnx') and sys.argv[1][0] == '/'\n"
        "print(1.25)\n"
    )
    assert timed(command, model, samples=6).median_ms == 1.25


def test_no_shell_reads_the_command(
    script: Callable[[str], str], model: Path, tmp_path: Path
) -> None:
    command = script("import sys\nassert sys.argv[1:3] == [';', '$(touch'], sys.argv\nprint(1)\n")
    assert timed(f"{command} ; $(touch {tmp_path}/pwned)", model, samples=6).median_ms == 1
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("print('fast')", "printed 'fast'; it must print milliseconds"),
        ("print('1.5 ms')", "printed '1.5 ms'"),
        ("print(-3)", "printed '-3'"),
        ("print(0)", "printed '0'"),
        ("print('nan')", "printed 'nan'"),
        ("print('inf')", "printed 'inf'"),
        ("", "printed nothing"),
        ("import os; os.write(1, b'\\xff\\xfe\\n')", "it must print milliseconds"),
        ("raise SystemExit('no device found')", "ended with exit code 1: no device found"),
        ("print(1); raise SystemExit(3)", "ended with exit code 3: 1"),
        ("while True: print(1)", "prints more than 1 MiB"),
        ("import sys\nwhile True: print('x' * 100, file=sys.stderr)", "prints more than 1 MiB"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended with exit code -11"),
    ],
)
def test_what_is_not_a_time_gives_one_line(
    text: str, part: str, script: Callable[[str], str], model: Path
) -> None:
    with pytest.raises(UserError) as error:
        timed(script(text), model)
    assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_a_command_that_hangs_is_killed_with_all_that_it_started(
    script: Callable[[str], str], model: Path, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    command = script(
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(60)\n"
    )
    start = time.monotonic()
    with pytest.raises(UserError, match=r"took more than 1\.5 seconds and was killed"):
        timed(command, model, timeout=1.5)
    assert time.monotonic() - start < 10
    assert not any(is_alive(int(pid)) for pid in pids.read_text().split())


def test_a_child_that_stays_behind_is_killed_too(
    script: Callable[[str], str], model: Path, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    command = script(
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],\n"
        "                         stdout=subprocess.DEVNULL,\n"
        "                         stderr=subprocess.DEVNULL)\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))\n"
        "print(2)\n"
    )
    assert timed(command, model, samples=6, max_seconds=0.1).median_ms == 2
    assert not is_alive(int(pid.read_text()))


def test_a_child_that_holds_the_pipes_is_not_waited_for(
    script: Callable[[str], str], model: Path, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    command = script(
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pid)!r}, 'w').write(str(child.pid))\n"
        "sys.stdout.write('3.5\\n' * 20_000)\n"
    )
    start = time.monotonic()
    assert timed(command, model, samples=6, max_seconds=0.1, timeout=15).median_ms == 3.5
    assert time.monotonic() - start < 10
    assert not is_alive(int(pid.read_text()))


def is_alive(pid: int) -> bool:
    for _ in range(100):  # a killed orphan is gone when its new parent has looked
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        if state == "Z":
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("/nowhere/adb-run.sh", "can't be started: No such file"),
        ("", "command is missing"),
        ("adb 'run", "No closing quotation"),
        (" ", "such as .* with --command"),
    ],
)
def test_a_command_that_cannot_be_started_gives_one_line(
    command: str, part: str, model: Path
) -> None:
    with pytest.raises(UserError, match=part):
        timed(command, model)


def test_a_timeout_must_be_positive(model: Path) -> None:
    with pytest.raises(UserError, match="timeout_seconds is 0"):
        timed("true", model, timeout=0)


def test_the_command_runs_in_a_group_of_its_own(script: Callable[[str], str], model: Path) -> None:
    command = script("import os\nprint(os.getpgid(0))\n")
    assert timed(command, model, samples=6, max_seconds=0.1).median_ms != os.getpgid(0)
