"""Who a process is, as torchrun's environment says it."""

from __future__ import annotations

import subprocess
import sys

from unas.compute import torchrun


def test_the_environment_is_asked_without_waiting_for_torch() -> None:
    code = (
        "import sys; from unas.compute import torchrun as t; "
        "print(t.rank(), t.local_rank(), t.restarts(), t.can_restart(), t.job(), 'torch' in sys.modules)"
    )
    alone = {**torchrun.environment_of_one(), "RANK": "3"}
    address = {"WORLD_SIZE": "4", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    one_of_four = alone | address | {"LOCAL_RANK": "1", "TORCHELASTIC_MAX_RESTARTS": "2"}
    for environment, expected in (
        (alone, "0 0 0 False None False"),
        (one_of_four, "3 1 0 True None False"),
        (one_of_four | {"RANK": "three"}, "0 1 0 True None False"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == expected
