"""Output streams that the shell has closed, or whose reader has gone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

UNAS = f"{sys.executable} -m unas"


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("line", "code", "err"),
    [
        ("list recipes >&-", 0, ""),
        ("list recipes 2>&-", 0, ""),
        ("list recipes >&- 2>&-", 0, ""),
        ("list nothing >&-", 2, "error: unas list: there is no kind 'nothing'"),
        ("list nothing 2>&-", 2, ""),
        ("show UNAS_CIFAR10 >&-", 0, ""),
    ],
)
def test_a_closed_stream_is_written_to_in_vain(line: str, code: int, err: str) -> None:
    done = shell(f"{UNAS} {line}")
    assert done.returncode == code
    assert done.stderr.startswith(err)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", ["list recipes", "show UNAS_CIFAR10", "show UNAS --json"])
def test_a_reader_that_has_gone_ends_the_command_like_sigpipe(words: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "unas", *words.split()]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")
