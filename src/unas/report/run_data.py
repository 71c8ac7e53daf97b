"""Everything that a report says of a run, read from its directory; no code of the run is needed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unas.architecture.genotype import FORMAT as GENOTYPE_FORMAT
from unas.architecture.genotype import Genotype
from unas.architecture.published import MAX_BYTES
from unas.common.documents import read_json
from unas.common.errors import UserError
from unas.common.files import is_plain
from unas.common.text import shown
from unas.report.fields import Fields, is_figure
from unas.report.policy_data import Epoch, alarms_of, read_policy
from unas.report.series import Series
from unas.runs.metrics import read_metrics
from unas.runs.names import (
    CANDIDATES,
    CANDIDATES_FORMAT,
    CONFIG,
    CONFIG_FORMAT,
    FINALISTS,
    FINALISTS_FORMAT,
    GENOTYPE,
    MANIFEST,
    METRICS,
    ONNX,
    POLICY,
    SEARCH,
    SUMMARY,
    TRAINING,
    WEIGHTS,
    require_run,
)

_MAX_NAMES = 60  # different figures of a phase; recipes have about ten
_MAX_STEP = 2**53


@dataclass(frozen=True)
class RunData:
    """A run, finished or not.

    Args:
        directory: where it is.
        config: config.json.
        manifest: manifest.json; empty if it is missing.
        summary: summary.json; empty before the first phase has ended.
        candidates: candidates.json; empty if it is missing.
        finalists: finalists.json; empty if it is missing, or of an earlier version.
        genotype: the architecture that was found, or given; None before that.
        policy: the epochs of the search.
        alarms: what the search has raised, by name.
        figures: what was logged, by phase and name.
        steps: how many steps of each phase are logged.
        sizes: the model's files that exist, each with its number of bytes.
    """

    directory: Path
    config: Fields
    manifest: Fields
    summary: Fields
    candidates: Fields
    finalists: Fields
    genotype: Genotype | None
    policy: tuple[Epoch, ...]
    alarms: Mapping[str, str]
    figures: Mapping[str, Mapping[str, Series]]
    steps: Mapping[str, int]
    sizes: Mapping[str, int]

    @property
    def name(self) -> str:
        """The directory's own name."""
        return Path(os.path.abspath(self.directory)).name

    @property
    def is_finished(self) -> bool:
        """Whether the network is exported and measured, which is the last thing that a run does."""
        return bool(self.summary.objects("latency"))


def read_run(directory: Path) -> RunData:
    """Read a run directory.

    Raises:
        UserError: there is no run, or a file of it isn't what unas writes; names the file.
    """
    require_run(directory)
    config_path = directory / CONFIG
    summary = _object(directory / SUMMARY)
    policy: tuple[Epoch, ...] = ()
    alarms = dict(summary.object("alarms").named())
    policy_path = directory / POLICY
    if is_plain(policy_path):
        policy = read_policy(policy_path)
        alarms = alarms or alarms_of(policy_path)  # before the search has ended
    figures, steps = _figures(directory / METRICS)
    return RunData(
        directory=directory,
        config=Fields(CONFIG_FORMAT.read(config_path), str(config_path)),
        manifest=_object(directory / MANIFEST),
        summary=summary,
        candidates=_candidates(directory / CANDIDATES),
        finalists=_finalists(directory / FINALISTS),
        genotype=_genotype(directory / GENOTYPE),
        policy=policy,
        alarms=alarms,
        figures=figures,
        steps=steps,
        sizes=_sizes(directory),
    )


def _sizes(directory: Path) -> dict[str, int]:
    sizes = {}
    for name in (WEIGHTS, ONNX):
        path = directory / name
        if is_plain(path):
            sizes[name] = path.stat().st_size
    return sizes


def _object(path: Path) -> Fields:
    if not os.path.lexists(path):
        return Fields({}, str(path))
    return Fields.of(read_json(path), str(path))


def _candidates(path: Path) -> Fields:
    if not os.path.lexists(path):
        return Fields({}, str(path))
    return Fields(CANDIDATES_FORMAT.read(path), str(path))


def _finalists(path: Path) -> Fields:
    """Return finalists.json; nothing of an earlier version, whose trainings were others."""
    document = _object(path)
    if document.values and document.number("version") == FINALISTS_FORMAT.version:
        FINALISTS_FORMAT.check(document.values, str(path))
        return document
    return Fields({}, str(path))


def _genotype(path: Path) -> Genotype | None:
    """Return a genotype that is not checked against its space.

    A report only draws it, and needs no torch.
    """
    if not os.path.lexists(path):
        return None
    document = Fields(GENOTYPE_FORMAT.read(path, MAX_BYTES), str(path))
    choices = dict(document.object("choices").named())
    if not choices or not document.text("space"):
        raise UserError(
            f"{path}: space or choices is empty; write a genotype with `unas show GENOTYPE --json`"
        )
    return Genotype(document.text("space"), choices)


def _figures(path: Path) -> tuple[dict[str, dict[str, Series]], dict[str, int]]:
    """Return the figures by phase and name, and the number of steps by phase."""
    figures: dict[str, dict[str, Series]] = {SEARCH: {}, TRAINING: {}}
    steps = dict.fromkeys(figures, 0)
    entries = read_metrics(path) if os.path.lexists(path) else ()
    for number, entry in enumerate(entries, 1):
        line = f"{path} line {number}"
        phase = entry.pop("phase")
        step = entry.pop("step")
        if type(step) is not int or not 0 <= step < _MAX_STEP:
            raise UserError(
                f"{line}: step is {shown(step)}; it must be a whole number of 0 or more"
            )
        if not isinstance(phase, str) or phase not in figures:
            continue
        steps[phase] = max(steps[phase], step)
        _add(figures[phase], step, entry, line)
    return figures, steps


def _add(series: dict[str, Series], step: int, values: Mapping[str, Any], line: str) -> None:
    for name, value in values.items():
        if value is None or (type(value) in {int, float} and not is_figure(value)):
            continue  # not finite, or as good as
        if not is_figure(value):
            raise UserError(f"{line}: {shown(name)} is {shown(value)}; it must be a number or null")
        if name in series or len(series) < _MAX_NAMES:
            series.setdefault(name, Series()).add(step, value)
