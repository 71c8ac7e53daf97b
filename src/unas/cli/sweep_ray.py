"""The runs of a sweep as tasks of a Ray cluster."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from unas.cli.sweep_runs import SweepRun
from unas.common.errors import UserError, first_line

_WAIT_FOR_LOCK = 120.0
_RETRIES = 5  # enough for lost machines, and an end for a run that kills its own process every time


def run_on_ray(
    address: str,
    runs: Sequence[SweepRun],
    out: Path,
    note: Callable[[SweepRun, int, str], None],
    stopped: Callable[[], bool],
) -> None:
    """Run all on a cluster whose machines share the directory `out`.

    A run whose machine is lost goes on from its last checkpoint on another one, up to five times.

    Args:
        address: of the head, such as 10.0.0.1:6379, ray://10.0.0.1:10001 or auto.
        runs: the runs.
        out: the sweep's directory.
        note: gets a run, its exit code and its last line when it has ended.
        stopped: whether to stop.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """
    ray = _connected(address)
    try:
        gpus = 1 if ray.cluster_resources().get("GPU", 0) else 0
        # A process for one run alone, and another try when that is lost.
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_calls=1, max_retries=_RETRIES)(run_words)
        waiting = {task.remote(run.command(out.absolute())): run for run in runs}
        while waiting and not stopped():
            ended, _ = ray.wait(list(waiting), timeout=0.5)
            for reference in ended:
                note(waiting.pop(reference), *_outcome(ray, reference))
    finally:
        ray.shutdown()


def run_words(words: list[str]) -> tuple[int, str]:
    """Do a run in this process; return its exit code and the last line of its errors.

    Where the process of an earlier try has not ended yet, wait for it: it holds the run directory.
    """
    from unas.cli.dispatch import main

    limit = time.monotonic() + _WAIT_FOR_LOCK
    while True:
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            code = main(words)
        lines = [line for line in errors.getvalue().splitlines() if line.strip()]
        message = lines[-1].removeprefix("error: ") if lines else ""
        if code != 2 or " is in use by " not in message or time.monotonic() > limit:
            return code, message
        time.sleep(2.0)


def _connected(address: str) -> Any:
    """Return the module `ray`, connected to a cluster.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """
    # Under `uv run`, Ray would start each worker by the same command, in a copy of this directory.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError('--ray needs Ray; install it with: pip install "unas[ray]"') from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(
            f"--ray {address}: no cluster was found there ({first_line(error)}); start one with "
            "ray start"
        ) from error
    return ray


def _outcome(ray: Any, reference: Any) -> tuple[int, str]:
    try:
        code, message = ray.get(reference)
    except ray.exceptions.RayError as error:
        return 1, first_line(error)
    return code, message
