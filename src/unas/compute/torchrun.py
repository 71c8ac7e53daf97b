"""How the processes of one job find each other, under torchrun or started in its manner."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import time
import uuid
from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]

from unas.common.errors import UserError
from unas.compute.ranks import Ranks, first_line, others_needed

# The others wait while rank 0 measures candidates; a dead rank is noticed at once.
_TIMEOUT = datetime.timedelta(hours=2)
_START_SECONDS = 600.0
_TORCHRUN = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def under_torchrun() -> bool:
    """Return whether this process was started as one of several, by torchrun or in its manner."""
    return all(name in os.environ for name in _TORCHRUN)


def local_rank() -> int:
    """Return the number of this process among those of its machine, 0 when it is alone."""
    return int(os.environ.get("LOCAL_RANK", "0")) if under_torchrun() else 0


def job() -> str | None:
    """Return what torchrun calls the job that this process belongs to, None when it is alone."""
    return os.environ.get("TORCHELASTIC_RUN_ID") if under_torchrun() else None


def restarts() -> int:
    """Return how often torchrun has restarted the processes of this machine."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) if under_torchrun() else 0


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """Join the other processes that torchrun has started, if there are any, for the block.

    What is on the host goes through gloo, what is on a CUDA device through NCCL.

    Args:
        device: the one that this process computes on.

    Raises:
        UserError: they can't be reached.
    """
    if Ranks.current().size > 1 or not under_torchrun() or os.environ["WORLD_SIZE"] == "1":
        yield Ranks.current()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        store, rank, size = next(dist.rendezvous("env://", timeout=_TIMEOUT))  # type: ignore[attr-defined]
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            store=meet(store, rank, size, _START_SECONDS),
            rank=rank,
            world_size=size,
            timeout=_TIMEOUT,
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the other processes can't be reached ({first_line(error)}); start all with torchrun"
        ) from error
    try:
        yield Ranks.current()
        with others_needed():
            dist.barrier()  # none leaves while another is still at work
    finally:
        dist.destroy_process_group()


_PAUSE = 0.05


def meet(store: Store, rank: int, size: int, timeout: float) -> Store:
    """Return a part of the store that the present processes share and no earlier ones have written to.

    torchrun's own store lives on when it restarts processes, with the addresses of the dead ones in
    it. So each process leaves a word of its own; rank 0 collects them under a new token, and the
    token counts once every process has confirmed it, which only the living can.

    Args:
        store: torchrun's.
        rank: of this process.
        size: how many there are.
        timeout: how many seconds to wait for all of them.

    Raises:
        UserError: not all have come.
    """
    word, token = uuid.uuid4().hex, ""
    named: list[str] = []
    store.set(f"unas/word/{rank}", word)
    limit = time.monotonic() + timeout
    while time.monotonic() < limit:
        if rank == 0:
            names = [f"unas/word/{other}" for other in range(size)]
            found = [store.get(name).decode() for name in names] if store.check(names) else []
            if found and found != named:
                token, named = uuid.uuid4().hex, found
                store.set("unas/token", json.dumps([token, named]))
        elif store.check(["unas/token"]):
            token, named = json.loads(store.get("unas/token"))
        if token and len(named) == size and named[rank] == word:
            store.set(f"unas/{token}/{rank}", "here")
            if store.check([f"unas/{token}/{other}" for other in range(size)]):
                return PrefixStore(f"unas/{token}", store)
        time.sleep(_PAUSE)
    raise UserError(
        f"not all {size} processes have started within {timeout:.0f} s; start all with torchrun"
    )
