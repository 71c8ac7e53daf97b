"""The results of a sweep: one row a run, in a CSV, in Markdown, and on the screen."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unas.cli.sweep_rows import Row
from unas.common.documents import read_json
from unas.common.errors import UserError
from unas.common.files import write_text
from unas.pipeline.phases import ONNX_TOLERANCE
from unas.runs.names import SUMMARY

WAITING, DONE, FAILED = "waiting", "done", "failed"
_FIGURES = ("test_accuracy", "validation_accuracy", "parameters", "macs")


class Results:
    """What is known of each run; written anew whenever something is.

    Args:
        rows: the runs.
        out: the sweep's directory.
    """

    def __init__(self, rows: Sequence[Row], out: Path) -> None:
        self.rows, self.out = list(rows), out
        self._states = {row.name: (WAITING, "") for row in rows}
        for row in rows:
            if _has_ended_well(self._read(row)):
                self._states[row.name] = (DONE, "")

    def waiting(self) -> list[Row]:
        """Return the runs that are not done."""
        return [row for row in self.rows if self._states[row.name][0] != DONE]

    @property
    def failed(self) -> int:
        """How many runs have failed."""
        return sum(state == FAILED for state, _ in self._states.values())

    def note(self, row: Row, code: int, message: str) -> None:
        """Take in how a run ended: its exit code, and its last words. A budget that isn't met is no failure."""
        is_done = _has_ended_well(self._read(row)) and code in {0, 1}
        self._states[row.name] = (DONE, "") if is_done else (FAILED, message or f"exit code {code}")
        self.write()

    def write(self) -> None:
        """Write results.csv and results.md."""
        found = self.table()
        text = io.StringIO()
        writer = csv.DictWriter(text, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
        write_text(self.out / "results.csv", text.getvalue())
        write_text(self.out / "results.md", f"{_markdown(found)}\n{_markdown(self.means())}")

    def table(self) -> list[dict[str, str]]:
        """Return a row for each run, with the same columns."""
        return [self._cells(row) for row in self.rows]

    def means(self) -> list[dict[str, str]]:
        """Return the mean test accuracy over the seeds of each setting, with its standard deviation."""
        settings = {json.dumps([row.recipe, dict(row.settings)]): row for row in self.rows}
        found = []
        for key, first in settings.items():
            same = [row for row in self.rows if json.dumps([row.recipe, dict(row.settings)]) == key]
            values = [a for row in same if (a := self._read(row).get("test_accuracy")) is not None]
            spread = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
            mean = f"{100 * statistics.mean(values):.2f} %{spread}" if values else ""
            accuracy = {"test accuracy, mean ± standard deviation": mean}
            found.append(
                {"recipe": first.recipe, **first.settings, "seeds": str(len(values)), **accuracy}
            )
        return found

    def _cells(self, row: Row) -> dict[str, str]:
        state, message = self._states[row.name]
        summary = self._read(row)
        figures = {
            name: "" if (value := summary.get(name)) is None else f"{value:.6g}"
            for name in _FIGURES
        }
        latency = next(
            (item for item in summary.get("latency") or [] if isinstance(item, dict)), {}
        )
        budgets = [
            f"{item['budget']}: {'PASS' if item['passed'] else 'FAIL'}"
            for item in summary.get("budgets") or []
        ]
        return {
            "run": row.name,
            "recipe": row.recipe,
            "seed": str(row.seed),
            **row.settings,
            "state": state,
            **figures,
            "latency_ms": f"{latency['median_ms']:.4g}" if latency else "",
            "budgets": "; ".join(budgets),
            "message": message,
        }

    def _read(self, row: Row) -> dict[str, Any]:
        path = self.out / row.name / SUMMARY
        try:
            found = read_json(path) if path.exists() else {}
        except UserError:
            return {}
        return found if isinstance(found, dict) else {}


def _has_ended_well(summary: Mapping[str, Any]) -> bool:
    """Return whether a run has written the last thing that it writes, and its ONNX file was right."""
    difference = summary.get("onnx_max_difference")
    return (
        bool(summary.get("latency"))
        and isinstance(difference, int | float)
        and difference <= ONNX_TOLERANCE
    )


def _markdown(rows: Sequence[Mapping[str, str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"

    head = list(rows[0])
    return (
        line(head) + line(["---"] * len(head)) + "".join(line(list(row.values())) for row in rows)
    )
