"""A run on disk, as rank 0 writes it and as the other processes have it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from unas.common import documents, files
from unas.common.errors import UserError
from unas.common.files import require_inside
from unas.compute.ranks import Ranks
from unas.runs.checkpoints import Checkpoint, Checkpoints, fitting
from unas.runs.events import EventFiles
from unas.runs.lock import RunLock
from unas.runs.metrics import MetricsLog
from unas.runs.names import (
    CHECKPOINTS,
    CONFIG,
    MADE_BY_A_RUN,
    MANIFEST,
    METRICS,
    TENSORBOARD,
    holds_run,
    require_run,
)


class RunDirectory:
    """A run directory: made by `create`, gone on with by `resume`, read by `open`.

    The first two are for one process at a time: they hold the lock until `close`, log and save
    checkpoints.

    Attributes:
        directory: its path.
        checkpoint: where a resumed run goes on; None: at the beginning.
    """

    def __init__(self, directory: Path, lock: RunLock | None = None) -> None:
        self.directory = directory
        self.checkpoint: Checkpoint | None = None
        self._saved: tuple[str, int] | None = None
        self._lock = lock
        self._checkpoints = Checkpoints(directory / CHECKPOINTS)
        self._metrics: MetricsLog | None = None
        self._events: EventFiles | None = None

    @classmethod
    def create(
        cls, directory: Path | str, config_json: str, manifest: Mapping[str, Any]
    ) -> RunDirectory:
        """Make a run directory for a new run.

        Args:
            directory: a path that holds no run yet.
            config_json: the resolved configuration.
            manifest: see `unas.runs.manifest`.

        Raises:
            UserError: it holds a run, is in use, or can't be written.
        """
        directory = Path(directory)
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            raise files.write_error(directory, error) from error
        run = cls(directory, RunLock(directory))
        with contextlib.ExitStack() as undo:
            undo.callback(run.close)
            run._require_unused()
            documents.write_json(run.path(MANIFEST), dict(manifest))
            # Last, because it is what makes the directory a run: a kill before it leaves nothing to
            # resume.
            files.write_text(run.path(CONFIG), config_json)
            run._start_logs()
            undo.pop_all()
        return run

    @classmethod
    def resume(cls, directory: Path | str, manifest: Mapping[str, Any]) -> RunDirectory:
        """Go on with a run: load its newest whole checkpoint and cut everything logged after it.

        Args:
            directory: of the run.
            manifest: of this process; added to the run's own under "resumed".

        Raises:
            UserError: there is no run, it is in use, or can't be written.
        """
        directory = cls.open(directory).directory
        run = cls(directory, RunLock(directory))
        with contextlib.ExitStack() as undo:
            undo.callback(run.close)
            files.remove_leftovers(directory)
            run.checkpoint = run._checkpoints.load_newest()
            run._add_to_manifest(manifest)
            run._start_logs()
            undo.pop_all()
        return run

    @classmethod
    def open(cls, directory: Path | str) -> RunDirectory:
        """Open a run, finished or not, for reading and for adding files made from it.

        Raises:
            UserError: there is no run in it.
        """
        directory = Path(directory)
        require_run(directory)
        return cls(directory)

    @staticmethod
    def holds_run(directory: Path | str) -> bool:
        """Return whether there is a run in `directory`, finished or not."""
        return holds_run(directory)

    @property
    def saved(self) -> tuple[str, int]:
        """Phase and step of the newest checkpoint; ("run", 0) before the first."""
        found = self._saved
        return found or (
            (self.checkpoint.phase, self.checkpoint.step) if self.checkpoint else ("run", 0)
        )

    def path(self, name: str) -> Path:
        """Return the path of one of its files."""
        return self.directory / name

    def read_json(self, name: str) -> Any:
        """Return a JSON file of the run; raises UserError like `unas.common.documents.read_json`."""
        return documents.read_json(self.path(name))

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file of the run atomically; NaN and infinities become null."""
        documents.write_json(self.path(name), value)

    def write_text(self, name: str, text: str) -> None:
        """Write a text file of the run atomically."""
        files.write_text(self.path(name), text)

    def log(
        self,
        phase: str,
        step: int,
        values: Mapping[str, float],
        timings: Mapping[str, float] | None = None,
    ) -> None:
        """Log figures of a step to metrics.jsonl and TensorBoard.

        Args:
            phase: its name.
            step: steps of the phase that are done.
            values: what the same seed gives again.
            timings: what it doesn't, such as images a second; TensorBoard alone.
        """
        metrics, events = self._logs()
        metrics.log(phase, step, values)
        events.log(phase, step, {**values, **(timings or {})})

    def save_checkpoint(self, phase: str, step: int, state: Mapping[str, Any]) -> Path:
        """Save the state after `step` steps of `phase`, and all metrics before it; see `Checkpoints.save`."""
        metrics, events = self._logs()
        events.flush()
        path = self._checkpoints.save(
            phase, step, {"metrics_bytes": metrics.flush(), "state": dict(state)}
        )
        self._saved = (phase, step)
        return path

    def newest_finite(self) -> str:
        """Return the path of the newest checkpoint whose numbers are all finite, or say that there is none."""
        return str(self._checkpoints.newest_finite() or "none, for there is none")

    def close(self) -> None:
        """Close the logs and release the lock."""
        if self._events is not None:
            self._events.close()
        if self._metrics is not None:
            self._metrics.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> RunDirectory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_unused(self) -> None:
        if self.holds_run(self.directory):
            raise UserError(
                f"{self.directory} already holds a run; add --resume or use another --out"
            )
        require_inside(self.directory, (CONFIG, MANIFEST, *MADE_BY_A_RUN))
        # A link that leads nowhere counts: what is written through it makes the file that it names.
        found = next((name for name in MADE_BY_A_RUN if os.path.lexists(self.path(name))), None)
        if found is not None:
            raise UserError(f"{self.directory} holds {found} but no {CONFIG}; use another --out")

    def _add_to_manifest(self, manifest: Mapping[str, Any]) -> None:
        first = self.read_json(MANIFEST)
        resumed = first.get("resumed", []) if isinstance(first, dict) else None
        if not isinstance(resumed, list):
            raise UserError(
                f"{self.path(MANIFEST)} is not a manifest that unas wrote; restore the file"
            )
        self.write_json(MANIFEST, {**first, "resumed": [*resumed, dict(manifest)]})

    def _start_logs(self) -> None:
        at, kept = self.checkpoint, 0
        if at is not None:
            with fitting(at):
                kept = int(at.state["metrics_bytes"])
                self.checkpoint = Checkpoint(at.phase, at.step, dict(at.state["state"]), at.path)
        self._metrics = MetricsLog(self.path(METRICS), kept)
        self._events = EventFiles(self.path(TENSORBOARD), (at.phase, at.step) if at else None)

    def _logs(self) -> tuple[MetricsLog, EventFiles]:
        if self._metrics is None or self._events is None:
            raise RuntimeError(
                f"{self.directory} was opened for reading; create or resume it to log"
            )
        return self._metrics, self._events


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
        self,
        phase: str,
        step: int,
        values: Mapping[str, float],
        timings: Mapping[str, float] | None = None,
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
        return str(run.directory), {
            "phase": at.phase,
            "step": at.step,
            "state": at.state,
            "path": str(at.path),
        }

    directory, at = ranks.on_main(open_on_main)
    if opened:
        return opened[0]
    checkpoint = (
        None if at is None else Checkpoint(at["phase"], at["step"], at["state"], Path(at["path"]))
    )
    return Follower(Path(directory), checkpoint)
