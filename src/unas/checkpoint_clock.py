"""When to save a checkpoint: by time and by step."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final


class CheckpointClock:
    """Say when the next checkpoint is due: after some seconds or some steps, whichever comes first.

    Args:
        every_seconds: longest time between two checkpoints.
        every_steps: most steps between two checkpoints; None: time alone decides.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        every_seconds: float,
        every_steps: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._every_seconds: Final = every_seconds
        self._every_steps: Final = every_steps
        self._clock: Final = clock
        self.saved(0)

    def due(self, step: int) -> bool:
        """Return whether to save after `step` steps."""
        by_steps = self._every_steps is not None and step - self._saved_step >= self._every_steps
        return by_steps or self._clock() - self._saved_at >= self._every_seconds

    def saved(self, step: int) -> None:
        """Note a checkpoint (or a start) at `step`."""
        self._saved_step = step
        self._saved_at = self._clock()
