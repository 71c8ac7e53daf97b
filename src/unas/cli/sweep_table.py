"""The results of a sweep: one row a run, in a CSV, in Markdown, and on the screen."""

from __future__ import annotations

import csv
import io
import logging
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from unas.cli.sweep_runs import SweepRun
from unas.common.documents import read_json
from unas.common.errors import UserError
from unas.common.files import write_text
from unas.pipeline.phases import ONNX_TOLERANCE
from unas.runs.names import SUMMARY

WAITING, DONE, FAILED = "waiting", "done", "failed"
_FIGURES = ("test_accuracy", "validation_accuracy", "parameters", "macs")
_DIFFERENCE = "onnx_max_difference"
_log = logging.getLogger("unas.cli")


class Results:
    """What is known of each run; written anew whenever something is.

    Args:
        runs: the runs.
        out: the sweep's directory.
    """

    def __init__(self, runs: Sequence[SweepRun], out: Path) -> None:
        self.runs = list(runs)
        self.out = out
        self._states: dict[str, tuple[str, str]] = {}
        for run in runs:
            try:
                is_done = _has_ended_well(read_summary(self._path(run)))
            except UserError as error:
                _log.warning("%s; its run counts as not done", error)
                is_done = False
            self._states[run.name] = (DONE if is_done else WAITING, "")

    def waiting(self) -> list[SweepRun]:
        """Return the runs that are not done."""
        return [run for run in self.runs if self._states[run.name][0] != DONE]

    @property
    def failed(self) -> int:
        """How many runs have failed."""
        return sum(state == FAILED for state, _ in self._states.values())

    def note(self, run: SweepRun, code: int, message: str) -> None:
        """Take in how a run ended.

        Args:
            run: the run.
            code: its exit code; a budget that isn't met, 1, is no failure.
            message: its last words.
        """
        if code in {0, 1} and _has_ended_well(self._summary(run)):
            self._states[run.name] = (DONE, "")
        else:
            self._states[run.name] = (FAILED, message or f"exit code {code}")
        self.write()

    def write(self) -> None:
        """Write results.csv and results.md."""
        table = self.table()
        text = io.StringIO()
        writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
        write_text(self.out / "results.csv", text.getvalue())
        write_text(self.out / "results.md", f"{_markdown(table)}\n{_markdown(self.means())}")

    def table(self) -> list[dict[str, str]]:
        """Return a row for each run, with the same columns."""
        return [self._row(run) for run in self.runs]

    def means(self) -> list[dict[str, str]]:
        """Return the mean test accuracy of each setting over its seeds, and the deviation."""
        accuracies: dict[tuple[Any, ...], list[float]] = {}
        for run in self.runs:
            setting = (("recipe", run.recipe), *run.settings.items())
            accuracy = self._summary(run).get("test_accuracy")
            accuracies.setdefault(setting, []).extend([] if accuracy is None else [accuracy])
        rows = []
        for setting, values in accuracies.items():
            mean = f"{100 * statistics.mean(values):.2f} %" if values else ""
            if len(values) > 1:
                mean += f" ± {100 * statistics.stdev(values):.2f}"
            label = "test accuracy, mean ± standard deviation"
            rows.append({**dict(setting), "seeds": str(len(values)), label: mean})
        return rows

    def _row(self, run: SweepRun) -> dict[str, str]:
        state, message = self._states[run.name]
        summary = self._summary(run)
        figures = dict.fromkeys(_FIGURES, "")
        for name in figures:
            if summary.get(name) is not None:
                figures[name] = f"{summary[name]:.6g}"
        latencies = summary.get("latency") or []
        verdicts = [_verdict(document) for document in summary.get("budgets") or []]
        return {
            "run": run.name,
            "recipe": run.recipe,
            "seed": str(run.seed),
            **run.settings,
            "state": state,
            **figures,
            "latency_ms": f"{latencies[0]['median_ms']:.4g}" if latencies else "",
            "budgets": "; ".join(verdicts),
            "message": message,
        }

    def _summary(self, run: SweepRun) -> dict[str, Any]:
        """Return what a run has found so far; nothing, if its file is damaged."""
        try:
            return read_summary(self._path(run))
        except UserError:
            return {}

    def _path(self, run: SweepRun) -> Path:
        return self.out / run.name / SUMMARY


def read_summary(path: Path) -> dict[str, Any]:
    """Return the figures of a run's summary.json; none, if there is no such file.

    Raises:
        UserError: it can't be read, or a table can't show what is in it.
    """
    if not path.exists():
        return {}
    summary = read_json(path)
    if not _is_summary(summary):
        raise UserError(f"{path} is not a summary that unas wrote")
    return dict(summary)


def _is_summary(document: Any) -> bool:
    if not isinstance(document, dict):
        return False
    latencies, verdicts = document.get("latency") or [], document.get("budgets") or []
    if not isinstance(latencies, list) or not isinstance(verdicts, list):
        return False
    for latency in latencies:
        if not isinstance(latency, dict) or not _is_number(latency.get("median_ms")):
            return False
    for verdict in verdicts:
        if not isinstance(verdict, dict) or not isinstance(verdict.get("budget"), str):
            return False
        if not isinstance(verdict.get("passed"), bool):
            return False
    figures = [document.get(name) for name in (*_FIGURES, _DIFFERENCE)]
    return all(figure is None or _is_number(figure) for figure in figures)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _has_ended_well(summary: Mapping[str, Any]) -> bool:
    """Return whether a run has written all that it writes, and its ONNX file was right."""
    difference = summary.get(_DIFFERENCE)
    if not summary.get("latency") or difference is None:
        return False
    return bool(difference <= ONNX_TOLERANCE)


def _verdict(document: Mapping[str, Any]) -> str:
    return f"{document['budget']}: {'PASS' if document['passed'] else 'FAIL'}"


def _markdown(rows: Sequence[Mapping[str, str]]) -> str:
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *(list(row.values()) for row in rows)]
    return "".join(_markdown_line(cells) for cells in lines)


def _markdown_line(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |\n"
