"""Everything that a report says of a run, read from its directory: no data set, no network, no code of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
    CONFIG,
    CONFIG_FORMAT,
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
        genotype: what was found, or given; None before that.
        policy: the epochs of the search.
        alarms: of the search, by name.
        figures: by phase and name.
        steps: how many steps of each phase are logged.
        sizes: bytes of the model's files that exist.
    """

    directory: Path
    config: Fields
    manifest: Fields
    summary: Fields
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
    config = Fields(CONFIG_FORMAT.read(config_path), str(config_path))
    path = directory / POLICY
    has_policy = is_plain(path)
    policy = read_policy(path) if has_policy else ()
    figures, steps = _figures(directory / METRICS)
    summary = _object(directory / SUMMARY)
    return RunData(
        directory=directory,
        config=config,
        manifest=_object(directory / MANIFEST),
        summary=summary,
        genotype=_genotype(directory / GENOTYPE),
        policy=policy,
        alarms=dict(summary.object("alarms").named()) or (alarms_of(path) if has_policy else {}),
        figures=figures,
        steps=steps,
        sizes={
            name: (directory / name).stat().st_size
            for name in (WEIGHTS, ONNX)
            if is_plain(directory / name)
        },
    )


def _object(path: Path) -> Fields:
    if not os.path.lexists(path):
        return Fields({}, str(path))
    return Fields.of(read_json(path), str(path))


def _genotype(path: Path) -> Genotype | None:
    """Return a genotype that is not checked against its space: a report only draws it, and needs no torch."""
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
    found: dict[str, dict[str, Series]] = {SEARCH: {}, TRAINING: {}}
    steps = dict.fromkeys(found, 0)
    for line, entry in enumerate(read_metrics(path) if os.path.lexists(path) else (), 1):
        phase, step = entry.pop("phase"), entry.pop("step")
        if type(step) is not int or not 0 <= step < _MAX_STEP:
            raise UserError(
                f"{path} line {line}: step is {shown(step)}; it must be a whole number of 0 or more"
            )
        if not isinstance(phase, str) or phase not in found:
            continue
        steps[phase] = max(steps[phase], step)
        series = found[phase]
        for name, value in entry.items():
            if value is None or (type(value) in {int, float} and not is_figure(value)):
                continue  # not finite, or as good as
            if not is_figure(value):
                raise UserError(
                    f"{path} line {line}: {shown(name)} is {shown(value)}; it must be a number or null"
                )
            if name in series or len(series) < _MAX_NAMES:
                series.setdefault(name, Series()).add(step, value)
    return found, steps
