"""How the processes of one attempt find each other, and none of an earlier attempt that torchrun has ended."""

from __future__ import annotations

import json
import time
import uuid

from torch.distributed import PrefixStore, Store  # type: ignore[attr-defined]

from unas.errors import UserError

_PAUSE = 0.05


def meet(store: Store, rank: int, size: int, timeout: float) -> Store:
    """Return a part of the store that the present processes share and no earlier ones have written to.

    torchrun's own store lives on when it restarts processes, with the addresses of the dead ones in it. So each
    process leaves a word of its own; rank 0 collects them under a new token, and the token counts once every process
    has confirmed it, which only the living can.

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
    raise UserError(f"not all {size} processes have started within {timeout:.0f} s; start all with torchrun")
