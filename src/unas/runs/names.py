"""What a run is called on disk: its files, its phases, and whether a directory is a run.

Needs nothing that is slow to import.
"""

from __future__ import annotations

import os
from pathlib import Path

from unas.architecture import published
from unas.common.documents import Format
from unas.common.errors import UserError
from unas.common.files import is_plain, require_inside

SEARCH = "search"  # the phases, as checkpoints and metrics.jsonl name them
TRAINING = "training"

CONFIG_FORMAT = Format("unas.config", 1, "a configuration")

CANDIDATES_FORMAT = Format("unas.candidates", 1, "a list of candidates")
FINALISTS_FORMAT = Format("unas.finalists", 3, "a list of finalists", ("rungs", "trainings"))

CONFIG = "config.json"
MANIFEST = "manifest.json"
METRICS = "metrics.jsonl"
TENSORBOARD = "tensorboard"
CHECKPOINTS = "checkpoints"
POLICY = "policy.json"
CANDIDATES = "candidates.json"
FINALISTS = "finalists.json"
FINALIST_STATES = "finalists"
GENOTYPE = published.FILE_NAME
WEIGHTS = "model.safetensors"
ONNX = "model.onnx"
SUMMARY = "summary.json"
REPORT = "report.html"
TRACEBACK = "traceback.txt"

MADE_BY_A_RUN = (
    METRICS,
    TENSORBOARD,
    CHECKPOINTS,
    POLICY,
    CANDIDATES,
    FINALISTS,
    FINALIST_STATES,
    GENOTYPE,
    WEIGHTS,
    ONNX,
    SUMMARY,
    REPORT,
    TRACEBACK,
)


def holds_run(directory: Path | str) -> bool:
    """Return whether there is a run in `directory`, finished or not."""
    return is_plain(Path(directory) / CONFIG)


def require_run(directory: Path) -> None:
    """Refuse a directory without a run, and one with a link that leads out of it.

    Raises:
        UserError: says which, and what to do.
    """
    if not holds_run(directory):
        why = f"it has no {CONFIG}" if os.path.isdir(directory) else "there is no such directory"
        raise UserError(
            f"{directory} is not a run directory: {why}; name one that `unas run` wrote"
        )
    require_inside(directory, (CONFIG, MANIFEST, *MADE_BY_A_RUN))
    for folder in (TENSORBOARD, FINALIST_STATES):
        require_inside(directory / folder)
