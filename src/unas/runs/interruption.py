"""Ctrl-C and SIGTERM: finish the step, save, say how to go on."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignal:
    """Note the first SIGINT or SIGTERM inside the block; a second one interrupts at once.

    Loops look at it after each step. Outside the main thread, where Python allows no signal
    handlers, the block changes nothing.

    Args:
        quiet: say nothing, as one of several processes that another speaks for.

    Attributes:
        signal_number: the signal that asked to save and stop; None while there was none.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self.signal_number: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # None: Python did not install the handler and can't name it.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  Python's
        if self.signal_number is not None:
            raise KeyboardInterrupt
        self.signal_number = number
        if self._quiet:
            return
        # Not print: the signal may have come in the middle of another print.
        with contextlib.suppress(OSError):
            os.write(2, b"\nfinishing this step, then saving; once more to stop at once\n")
