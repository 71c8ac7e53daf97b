"""A run in progress: what all of its phases have at hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from unas.common.documents import read_json
from unas.common.errors import UserError
from unas.compute.ranks import Ranks
from unas.compute.runtime import Runtime
from unas.config import Config
from unas.data import ImageData
from unas.pipeline.deployed import DeployedCosts
from unas.runs.names import SUMMARY
from unas.runs.run_log import RunLog
from unas.runs.session import Session
from unas.spaces import Blueprint


@dataclass
class Work:
    """A run in progress.

    Args:
        config: its configuration.
        runtime: device and precision.
        data: its images, on the device.
        session: where it logs and saves.
        costs: what the network that it deploys costs, and may cost.
        summary: the figures so far, as in summary.json.
    """

    config: Config
    runtime: Runtime
    data: ImageData
    session: Session
    costs: DeployedCosts
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def ranks(self) -> Ranks:
        """The processes that do the run together."""
        return self.runtime.ranks

    @property
    def blueprint(self) -> Blueprint:
        """How an architecture becomes a network for these images."""
        return self.config.blueprint(self.data.num_classes, self.data.image_shape)

    def report(self, **figures: Any) -> None:
        """Add figures to summary.json."""
        self.summary |= figures
        self.session.run.write_json(SUMMARY, self.summary)


def read_summary(run: RunLog) -> dict[str, Any]:
    """Return what summary.json holds so far; nothing before there is one.

    Raises:
        UserError: it is not what unas writes.
    """
    path = run.path(SUMMARY)
    if not path.exists():
        return {}
    summary = read_json(path)
    if not isinstance(summary, dict) or not _are_verdicts(summary.get("budgets", [])):
        raise UserError(f"{path} is not a summary that unas wrote; remove it, and go on")
    return dict(summary)


def _are_verdicts(budgets: object) -> bool:
    """Return whether the verdicts in a file have what is shown of them."""
    if not isinstance(budgets, list):
        return False
    for verdict in budgets:
        if not isinstance(verdict, dict):
            return False
        has_line = isinstance(verdict.get("line"), str)
        if not has_line or not isinstance(verdict.get("passed"), bool):
            return False
    return True
