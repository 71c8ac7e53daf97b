"""A run as its phases see it: written down by rank 0, and by no other process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from unas.compute.ranks import Ranks
from unas.runs.checkpoints import Checkpoint
from unas.runs.directory import RunDirectory


class RunLog(Protocol):
    """Where a phase logs and saves: a `RunDirectory`, or on every other rank a `NullLog`.

    Attributes:
        directory: of the run, on the machine of rank 0.
        checkpoint: where a resumed run goes on; None: at the beginning.
        saved: phase and step of the newest checkpoint; ("run", 0) before the first.
    """

    directory: Path
    checkpoint: Checkpoint | None
    saved: tuple[str, int]

    def path(self, name: str) -> Path:
        """Return the path of one of the run's files."""
        ...

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file of the run."""
        ...

    def write_text(self, name: str, text: str) -> None:
        """Write a text file of the run."""
        ...

    def log(
        self,
        phase: str,
        step: int,
        values: Mapping[str, float],
        timings: Mapping[str, float] | None = None,
    ) -> None:
        """Log figures of a step."""
        ...

    def draw(self, phase: str, step: int, name: str, picture: npt.NDArray[np.uint8]) -> None:
        """Log a picture, uint8 [height, width, 3]."""
        ...

    def save_checkpoint(self, phase: str, step: int, state: Mapping[str, Any]) -> None:
        """Save the state after `step` steps of `phase`."""
        ...

    def newest_finite(self) -> str:
        """Return where the newest checkpoint with finite numbers alone is, in words."""
        ...

    def close(self) -> None:
        """Leave the run to others."""
        ...


class NullLog:
    """The log of a rank that writes nothing, on a machine that may not see the run directory.

    Args:
        directory: of the run, on the machine of rank 0.
        checkpoint: where to go on, as rank 0 has read it.
    """

    def __init__(self, directory: Path, checkpoint: Checkpoint | None) -> None:
        self.directory = directory
        self.checkpoint = checkpoint
        self.saved = ("run", 0)
        if checkpoint is not None:
            self.saved = (checkpoint.phase, checkpoint.step)

    def path(self, name: str) -> Path:
        """Return the path of one of the run's files on the machine of rank 0."""
        return self.directory / name

    def write_json(self, name: str, value: Any) -> None:
        """Leave it to rank 0."""

    def write_text(self, name: str, text: str) -> None:
        """Leave it to rank 0."""

    def log(
        self,
        phase: str,
        step: int,
        values: Mapping[str, float],
        timings: Mapping[str, float] | None = None,
    ) -> None:
        """Leave it to rank 0."""

    def draw(self, phase: str, step: int, name: str, picture: npt.NDArray[np.uint8]) -> None:
        """Leave it to rank 0."""

    def save_checkpoint(self, phase: str, step: int, state: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Note that rank 0 saves now."""
        self.saved = (phase, step)

    def newest_finite(self) -> str:
        """Say who knows where the newest checkpoint with finite numbers alone is."""
        return "the one that rank 0 names"

    def close(self) -> None:
        """There is nothing to close."""


def open_together(ranks: Ranks, opening: Callable[[], RunDirectory]) -> RunLog:
    """Open a run for all ranks: rank 0 opens it, the others get the checkpoint that it has read.

    Args:
        ranks: the processes.
        opening: creates or resumes the run, on rank 0 alone.

    Raises:
        UserError: the run can't be opened.
    """
    opened: list[RunDirectory] = []

    def open_on_main() -> dict[str, Any]:
        run = opening()
        opened.append(run)
        return {"directory": str(run.directory), "checkpoint": to_send(run.checkpoint)}

    message = ranks.on_main(open_on_main)
    if opened:
        return opened[0]
    return NullLog(Path(message["directory"]), received(message["checkpoint"]))


def to_send(checkpoint: Checkpoint | None) -> dict[str, Any] | None:
    """Return a checkpoint as `Ranks.on_main` can send it."""
    if checkpoint is None:
        return None
    return {
        "phase": checkpoint.phase,
        "step": checkpoint.step,
        "state": checkpoint.state,
        "path": str(checkpoint.path),
    }


def received(message: Mapping[str, Any] | None) -> Checkpoint | None:
    """Return the checkpoint that `to_send` was given."""
    if message is None:
        return None
    path = Path(message["path"])
    return Checkpoint(message["phase"], message["step"], message["state"], path)
