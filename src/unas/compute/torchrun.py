"""How the processes of one job find each other, under torchrun or started in its manner.

The environment is asked without torch, which takes seconds to import: the command line asks it too.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

from unas.common.errors import UserError, first_line

if TYPE_CHECKING:
    import torch
    from torch.distributed import Store  # type: ignore[attr-defined]

    from unas.compute.ranks import Ranks

# The others wait while rank 0 measures candidates; a dead rank is noticed at once.
_TIMEOUT = datetime.timedelta(hours=2)
_START_SECONDS = 600.0
_PAUSE_SECONDS = 0.05
_ONE_OF_SEVERAL = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def under_torchrun() -> bool:
    """Return whether this process was started as one of several, by torchrun or in its manner."""
    return all(name in os.environ for name in _ONE_OF_SEVERAL)


def rank() -> int:
    """Return the number of this process among all of the job, 0 when it is alone."""
    return _number("RANK")


def size() -> int:
    """Return how many processes the job has, 1 for one that is alone."""
    return (_number("WORLD_SIZE") or 1) if under_torchrun() else 1


def local_rank() -> int:
    """Return the number of this process among those of its machine, 0 when it is alone."""
    return _number("LOCAL_RANK")


def local_size() -> int:
    """Return how many processes this machine has, 1 for one that is alone."""
    return _number("LOCAL_WORLD_SIZE") or 1


def job() -> str | None:
    """Return what torchrun calls the job that this process belongs to, None when it is alone."""
    return os.environ.get("TORCHELASTIC_RUN_ID") if under_torchrun() else None


def restarts() -> int:
    """Return how often torchrun has restarted the processes of this machine."""
    return _number("TORCHELASTIC_RESTART_COUNT")


def can_restart() -> bool:
    """Return whether torchrun restarts the processes when one of them fails."""
    return _number("TORCHELASTIC_MAX_RESTARTS") > 0


def environment_of_one() -> dict[str, str]:
    """Return the environment for a process that is none of this job's."""
    several = {*_ONE_OF_SEVERAL, "LOCAL_RANK"}
    return {name: value for name, value in os.environ.items() if name not in several}


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    return int(text) if under_torchrun() and text.isdecimal() else 0


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the other processes that torchrun has started, if there are any, for the block.

    What is on the host goes through gloo, what is on a CUDA device through NCCL.

    Args:
        device: the one that this process computes on.

    Raises:
        UserError: the other processes can't be reached.
    """
    import torch.distributed as dist

    from unas.compute.ranks import Ranks, others_needed

    if Ranks.current().size > 1 or not under_torchrun() or os.environ["WORLD_SIZE"] == "1":
        yield Ranks.current()
        return
    _join(device)
    try:
        yield Ranks.current()
        with others_needed():
            dist.barrier()  # none leaves while another is still at work
    finally:
        dist.destroy_process_group()


def _join(device: torch.device) -> None:
    import torch
    import torch.distributed as dist

    is_cuda = device.type == "cuda"
    if is_cuda:
        torch.cuda.set_device(device)
    try:
        meeting_place = dist.rendezvous("env://", timeout=_TIMEOUT)  # type: ignore[attr-defined]
        store, number, size = next(meeting_place)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if is_cuda else "gloo",
            store=meet(store, number, size, _START_SECONDS),
            rank=number,
            world_size=size,
            timeout=_TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the other processes can't be reached ({first_line(error)}); start all with torchrun"
        ) from error


def meet(store: Store, number: int, size: int, timeout: float) -> Store:
    """Return a part of the store that only the present processes have written to.

    torchrun's own store lives on when it restarts processes, with the addresses of the dead ones in
    it. So each process leaves a word of its own; rank 0 collects them under a new token, and the
    token counts once every process has confirmed it, which only the living can.

    Args:
        store: torchrun's.
        number: the rank of this process.
        size: how many processes there are.
        timeout: how many seconds to wait for all of them.

    Raises:
        UserError: not all have come.
    """
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]

    word = uuid.uuid4().hex
    store.set(f"unas/word/{number}", word)
    token = ""
    words: list[str] = []
    limit = time.monotonic() + timeout
    while time.monotonic() < limit:
        if number == 0:
            present = _values(store, [f"unas/word/{other}" for other in range(size)])
            if present and present != words:
                token = uuid.uuid4().hex
                words = present
                store.set("unas/token", json.dumps([token, words]))
        elif store.check(["unas/token"]):
            token, words = json.loads(store.get("unas/token"))
        if token and len(words) == size and words[number] == word:
            store.set(f"unas/{token}/{number}", "here")
            if store.check([f"unas/{token}/{other}" for other in range(size)]):
                return PrefixStore(f"unas/{token}", store)
        time.sleep(_PAUSE_SECONDS)
    raise UserError(
        f"not all {size} processes have started within {timeout:.0f} s; start all with torchrun"
    )


def _values(store: Store, names: list[str]) -> list[str]:
    """Return what the store has under each of the names, nothing while one is missing."""
    if not store.check(names):
        return []
    return [store.get(name).decode() for name in names]
