"""Processes of the unas command line: of fresh interpreters, or forked from the tests' own.

A fresh interpreter needs four seconds of a processor to import PyTorch and nine more for its first
export; a fork of a process that has done both needs neither. Where a GPU was used, PyTorch can't
compute in a fork, so all are fresh there.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, NoReturn

import torch

SUPPORT = Path(__file__).parent
CAN_FORK = not torch.cuda.is_available()


def environment() -> dict[str, str]:
    """Return the environment of a fresh interpreter that finds the helpers of the tests."""
    paths = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def fresh(*words: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run `python -m WORDS…`."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m WORDS…`, in a fork where that can be done: of unas, or of a helper here."""
    return fork(lambda: _main(*words)).wait() if CAN_FORK else fresh(*words)


def torchrun(*words: str, max_restarts: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `torchrun --standalone --nproc-per-node 2 -m WORDS…`, in forks where that can be done."""
    if CAN_FORK:
        return fork(lambda: _launch(words, max_restarts)).wait()
    flags = ("--standalone", "--nproc-per-node", "2", "--max-restarts", str(max_restarts), "-m")
    return fresh("torch.distributed.run", *flags, *words)


class Fork:
    """A forked process and what it writes.

    Args:
        pid: its number.
        output: the file that is its standard output.
        errors: the file that is its standard error.
    """

    def __init__(self, pid: int, output: IO[str], errors: IO[str]) -> None:
        self.pid = pid
        self._output = output
        self._errors = errors

    def wait(self, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Wait for its end; return its exit code, output and errors, as `subprocess.run` does."""
        limit = time.monotonic() + timeout
        ended, status = os.waitpid(self.pid, os.WNOHANG)
        while not ended:
            if time.monotonic() > limit:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.02)
            ended, status = os.waitpid(self.pid, os.WNOHANG)
        texts = []
        for file in (self._output, self._errors):
            file.seek(0)
            texts.append(file.read())
            file.close()
        return subprocess.CompletedProcess([], os.waitstatus_to_exitcode(status), *texts)


def fork(function: Callable[[], int]) -> Fork:
    """Call a function in a fork of this process; what it returns is the exit code."""
    output = tempfile.TemporaryFile("w+")  # noqa: SIM115  `Fork.wait` closes them
    errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python's, of the thread that xdist listens in
        pid = os.fork()
    if pid == 0:
        _become(function, output, errors)
    return Fork(pid, output, errors)


def _become(function: Callable[[], int], output: IO[str], errors: IO[str]) -> NoReturn:
    """Be another process: nothing of pytest's may be heard of from here on."""
    code: object = 1
    try:
        os.dup2(output.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        warnings.simplefilter("ignore")
        code = function()
    except SystemExit as error:
        code = error.code
    except BaseException:  # nothing may leave the fork
        traceback.print_exc()
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
    os._exit(code if isinstance(code, int) else 1)


def _main(module: str, *words: str) -> int:
    """Do what `python -m MODULE WORDS…` does; return the exit code."""
    name = "unas.cli" if module == "unas" else module
    code: int = importlib.import_module(name).main(words)
    return code


def _rank(*words: str) -> None:
    """Be one of torchrun's processes."""
    code = _main(*words)
    sys.stdout.flush()
    if code:
        os._exit(code)  # as unas/__main__.py does under torchrun


def _launch(words: tuple[str, ...], max_restarts: int) -> int:
    """Be torchrun on this machine, with two processes that are forked from this one."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        start_method="fork",
        max_restarts=max_restarts,
    )
    try:
        elastic_launch(config, _rank)(*words)
    except ChildFailedError:
        return 1
    return 0
