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
        out: the file; by default the run's own report.html, and comparison.html for several runs.

    Raises:
        UserError: a run can't be read, or the file not written.
    """
    if out is not None:
        file = out
    elif len(directories) == 1:
        file = directories[0] / REPORT
    else:
        file = Path("comparison.html")
    runs = [read_run(directory) for directory in directories]
    write_text(file, page.draw(runs))
    return file
