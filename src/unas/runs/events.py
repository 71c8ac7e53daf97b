"""The same figures as TensorBoard events, and the timings, which metrics.jsonl must not hold."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch.utils.tensorboard import SummaryWriter

_log = logging.getLogger("unas.runs")


class EventFiles:
    """TensorBoard events of one run: a subfolder a phase, tags `phase/name`.

    Steps start again in every phase, and TensorBoard forgets the events after a resumed step for a
    whole folder: hence one folder a phase. If events can't be written, a warning says so and the
    run goes on.

    Args:
        directory: the parent of the phases' folders.
        resumed_at: phase and step of the checkpoint that the run goes on from, if it does.
    """

    def __init__(self, directory: Path, resumed_at: tuple[str, int] = ("", 0)) -> None:
        self._directory = directory
        self._resumed_at = resumed_at
        self._writers: dict[str, SummaryWriter] = {}
        self._works = True

    def log(self, phase: str, step: int, values: Mapping[str, float]) -> None:
        """Add one event for each value."""

        def add() -> None:
            writer = self._writer(phase)
            for name, value in values.items():
                writer.add_scalar(f"{phase}/{name}", value, step)

        if values:
            self._attempt(add)

    def draw(self, phase: str, step: int, name: str, picture: npt.NDArray[np.uint8]) -> None:
        """Add a picture, uint8 [height, width, 3]."""

        def add() -> None:
            tag = f"{phase}/{name}"
            self._writer(phase).add_image(tag, picture, step, dataformats="HWC")

        self._attempt(add)

    def flush(self) -> None:
        """Write out what is buffered."""
        for writer in self._writers.values():
            self._attempt(writer.flush)

    def close(self) -> None:
        """Write out what is buffered and close the files."""
        for writer in self._writers.values():
            self._attempt(writer.close)
        self._writers.clear()

    def _writer(self, phase: str) -> SummaryWriter:
        if phase not in self._writers:
            from torch.utils.tensorboard import SummaryWriter  # here, because it takes seconds

            resumed_phase, resumed_step = self._resumed_at
            first_new_step = resumed_step + 1 if phase == resumed_phase else 0
            folder = str(self._directory / phase)
            self._writers[phase] = SummaryWriter(folder, purge_step=first_new_step)
        return self._writers[phase]

    def _attempt(self, action: Callable[[], None]) -> None:
        if not self._works:
            return
        try:
            action()
        except OSError as error:
            self._works = False
            reason = error.strerror or error
            _log.warning("%s: no more TensorBoard events: %s", self._directory, reason)
