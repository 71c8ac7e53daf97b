"""A report of runs: one HTML file, drawn from run directories alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unas.common.files import write_text
from unas.report import page
from unas.report.run_data import read_run
from unas.runs.names import REPORT

__all__ = ["write_report"]


def write_report(directories: Sequence[Path], out: Path | None = None) -> Path:
    """Draw the report of one run, or of several side by side; return its path.

    Args:
        directories: run directories, finished or not.
        out: the file; the run's own report.html by default, of several runs comparison.html.

    Raises:
        UserError: a run can't be read, or the file not written.
    """
    if out is None:
        out = directories[0] / REPORT if len(directories) == 1 else Path("comparison.html")
    write_text(out, page.draw([read_run(directory) for directory in directories]))
    return out
