"""A run directory: made, gone on with, and read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unas.common import documents, files
from unas.common.errors import UserError
from unas.common.files import require_inside
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
        saved: phase and step of the newest checkpoint; ("run", 0) before the first.
    """

    def __init__(self, directory: Path, lock: RunLock | None = None) -> None:
        self.directory = directory
        self.checkpoint: Checkpoint | None = None
        self.saved = ("run", 0)
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
        files.make_directory(directory)
        run = cls(directory, RunLock(directory))
        with contextlib.ExitStack() as undo:
            undo.callback(run.close)
            run._require_unused()
            documents.write_json(run.path(MANIFEST), dict(manifest))
            # Last, for it makes the directory a run: a kill before it leaves nothing to resume.
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

    def path(self, name: str) -> Path:
        """Return the path of one of its files."""
        return self.directory / name

    def read_json(self, name: str) -> Any:
        """Return a JSON file of the run; see `unas.common.documents.read_json`."""
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
            values: figures that the same seed gives again.
            timings: figures that it doesn't, such as images a second; only TensorBoard gets them.
        """
        metrics, events = self._logs()
        metrics.log(phase, step, values)
        events.log(phase, step, {**values, **(timings or {})})

    def draw(self, phase: str, step: int, name: str, picture: npt.NDArray[np.uint8]) -> None:
        """Log a picture, uint8 [height, width, 3], to TensorBoard."""
        _, events = self._logs()
        events.draw(phase, step, name, picture)

    def save_checkpoint(self, phase: str, step: int, state: Mapping[str, Any]) -> None:
        """Save the state after `step` steps of `phase`, and all figures that were logged before.

        See `Checkpoints.save`.
        """
        metrics, events = self._logs()
        events.flush()
        saved = {"metrics_bytes": metrics.flush(), "state": dict(state)}
        self._checkpoints.save(phase, step, saved)
        self.saved = (phase, step)

    def newest_finite(self) -> str:
        """Return where the newest checkpoint with finite numbers alone is, in words."""
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
        if holds_run(self.directory):
            raise UserError(
                f"{self.directory} already holds a run; add --resume or use another --out"
            )
        require_inside(self.directory, (CONFIG, MANIFEST, *MADE_BY_A_RUN))
        for name in MADE_BY_A_RUN:
            # A link that leads nowhere counts: a write through it makes the file that it names.
            if os.path.lexists(self.path(name)):
                raise UserError(f"{self.directory} holds {name} but no {CONFIG}; use another --out")

    def _add_to_manifest(self, manifest: Mapping[str, Any]) -> None:
        document = self.read_json(MANIFEST)
        resumed = document.get("resumed", []) if isinstance(document, dict) else None
        if not isinstance(resumed, list):
            raise UserError(
                f"{self.path(MANIFEST)} is not a manifest that unas wrote; restore the file"
            )
        self.write_json(MANIFEST, {**document, "resumed": [*resumed, dict(manifest)]})

    def _start_logs(self) -> None:
        newest = self.checkpoint
        logged_bytes = 0
        if newest is not None:
            with fitting(newest.path):
                logged_bytes = int(newest.state["metrics_bytes"])
                self.checkpoint = replace(newest, state=dict(newest.state["state"]))
            self.saved = (newest.phase, newest.step)
        self._metrics = MetricsLog(self.path(METRICS), logged_bytes)
        self._events = EventFiles(self.path(TENSORBOARD), self.saved)

    def _logs(self) -> tuple[MetricsLog, EventFiles]:
        if self._metrics is None or self._events is None:
            raise RuntimeError(
                f"{self.directory} was opened for reading; create or resume it to log"
            )
        return self._metrics, self._events
