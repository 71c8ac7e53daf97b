"""How much memory tensors take at most while a block runs, on any device."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the tensors that operators make in the block, for as long as they live.

    What a kernel needs for itself isn't seen, nor what the allocator keeps for later.

    Attributes:
        peak_bytes: the most that lived at one time.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak_bytes = 0
        self._live_bytes = 0
        self._storages: dict[int, weakref.finalize[Any, Any]] = {}

    def __torch_dispatch__(
        self,
        function: Any,
        types: Sequence[type],
        arguments: tuple[Any, ...] = (),
        keywords: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operator and note the memory of what it returns."""
        outcome = function(*arguments, **(keywords or {}))
        for leaf in tree_leaves(outcome):
            if isinstance(leaf, Tensor):
                self._note(leaf)
        return outcome

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._storages:
            return
        num_bytes = storage.nbytes()
        self._storages[key] = weakref.finalize(storage, self._forget, key, num_bytes)
        self._live_bytes += num_bytes
        self.peak_bytes = max(self.peak_bytes, self._live_bytes)

    def _forget(self, key: int, num_bytes: int) -> None:
        del self._storages[key]
        self._live_bytes -= num_bytes
