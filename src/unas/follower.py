"""The run directory as the processes other than rank 0 have it: read nothing, write nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from unas.checkpoints import Checkpoint
from unas.distributed import Ranks
from unas.run_directory import RunDirectory


class Follower(RunDirectory):
    """A run that rank 0 writes: it takes every call and does nothing, on a machine that may not see the directory.

    Args:
        directory: its path on rank 0's machine.
        checkpoint: where to go on, as rank 0 has read it.
    """

    def __init__(self, directory: Path, checkpoint: Checkpoint | None) -> None:
        super().__init__(directory)
        self.checkpoint = checkpoint

    def write_json(self, name: str, value: Any) -> None:
        """Do nothing."""

    def write_text(self, name: str, text: str) -> None:
        """Do nothing."""

    def log(
        self, phase: str, step: int, values: Mapping[str, float], timings: Mapping[str, float] | None = None
    ) -> None:
        """Do nothing."""

    def save_checkpoint(self, phase: str, step: int, state: Mapping[str, Any]) -> Path:  # noqa: ARG002  the interface
        """Do nothing but return the directory, where rank 0's checkpoint is."""
        return self.directory


def open_together(ranks: Ranks, opening: Callable[[], RunDirectory]) -> RunDirectory:
    """Open a run for all ranks: rank 0 opens it, the others follow from the checkpoint that it sends them.

    Args:
        ranks: the processes.
        opening: creates or resumes the run, on rank 0 alone.

    Raises:
        UserError: it can't be opened.
    """
    opened: list[RunDirectory] = []

    def open_on_main() -> tuple[str, dict[str, Any] | None]:
        run = opening()
        opened.append(run)
        at = run.checkpoint
        if ranks.size == 1 or at is None:
            return str(run.directory), None
        return str(run.directory), {"phase": at.phase, "step": at.step, "state": at.state, "path": str(at.path)}

    directory, at = ranks.on_main(open_on_main)
    if opened:
        return opened[0]
    checkpoint = None if at is None else Checkpoint(at["phase"], at["step"], at["state"], Path(at["path"]))
    return Follower(Path(directory), checkpoint)
