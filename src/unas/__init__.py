"""Give it images and a budget on your device: it searches a network, trains and exports it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from unas._public import *  # noqa: F403

    __all__: list[str]
else:

    def __getattr__(name: str) -> Any:
        # At the first use of a name, so that `unas --help` answers without waiting for torch.
        public = importlib.import_module("unas._public")
        if name == "__all__":
            return [name for name in vars(public) if not name.startswith("_")]
        if name.startswith("_") or name not in vars(public):
            raise AttributeError(f"module 'unas' has no attribute {name!r}")
        return getattr(public, name)
