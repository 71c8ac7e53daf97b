"""Opening a run, new or resumed, for the work of a command."""

from __future__ import annotations

import contextlib
import logging
import shlex
import sys
from collections.abc import Collection, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unas.common.errors import UserError
from unas.common.files import read_text
from unas.common.text import shown
from unas.compute.ranks import Ranks
from unas.compute.runtime import Runtime, RuntimeConfig
from unas.compute.torchrun import job, joined, local_rank, restarts
from unas.config import Config
from unas.config.components import outside_names
from unas.config.document import config_from_json, config_to_json
from unas.data import DataRecord, ImageData
from unas.pipeline.checks import check
from unas.pipeline.deployed import DeployedCosts
from unas.pipeline.same_data import (
    DATA,
    recorded_data,
    require_same_classes,
    require_same_data,
)
from unas.pipeline.trial import try_out
from unas.pipeline.work import Work, read_summary
from unas.recipes import recipe
from unas.runs.directory import RunDirectory
from unas.runs.interruption import StopSignal
from unas.runs.manifest import collect_manifest, starts_in
from unas.runs.names import CONFIG, GENOTYPE, MANIFEST, SEARCH, TRAINING, holds_run
from unas.runs.progress import say
from unas.runs.run_log import open_together
from unas.runs.session import Session
from unas.runs.traceback_file import traceback_kept

_log = logging.getLogger("unas.pipeline")


def new_directory(name: str) -> Path:
    """Return an unused run directory: runs/NAME-TIME, in UTC."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    directory = Path("runs") / f"{name}-{stamp}"
    number = 0
    while directory.exists():
        number += 1
        directory = Path("runs") / f"{name}-{stamp}-{number}"
    return directory


@contextlib.contextmanager
def work_in(
    config: Config | str, out: str | Path | None, verb: str, *, resume: bool, quiet: bool
) -> Iterator[Work]:
    """Open a run, new or resumed, for the work of a command called `verb`; see `run`."""
    name = config if isinstance(config, str) else type(config.dataset).__name__.lower()
    config = resolved(config)
    directory = Path(out) if out is not None else new_directory(name.replace(":", "-"))
    with contextlib.ExitStack() as stack:
        ranks = stack.enter_context(joined(config.runtime.build().device))
        runtime = config.runtime.build()
        ranks.require_same(config_to_json(config), "the configuration")
        data = _load_in_turn(config, ranks).to(runtime.device)
        record = DataRecord.of(data)
        ranks.require_same(str(record), "the data", "give all processes the same files")
        is_restarted = ranks.largest(restarts()) > 0
        quiet = quiet or not ranks.is_main
        costs = DeployedCosts(config, data.size, runtime, quiet=quiet)

        def opening() -> RunDirectory:
            goes_on = resume or (is_restarted and _is_own(directory))
            manifest = _manifest(config, runtime)
            if goes_on and holds_run(directory):
                with contextlib.ExitStack() as undo:
                    run = _resume(config, record, directory, manifest)
                    undo.callback(run.close)
                    if run.checkpoint is None and not run.path(GENOTYPE).exists():
                        costs.prepare()  # what it had measured is lost
                    undo.pop_all()
                return run
            check(config, data.size, runtime.ranks)
            with runtime.computing():
                try_out(config, data.size, runtime, exports=verb != "search")
            costs.require_possible()
            manifest[DATA] = asdict(record)
            return RunDirectory.create(directory, config_to_json(config), manifest)

        run = open_together(ranks, opening)
        stack.callback(run.close)
        if ranks.is_main:
            stack.enter_context(traceback_kept(run))
        say(record.line(), quiet=quiet)
        if record.left_out and ranks.is_main:
            _log.warning("%s: not read: %s", record.dataset, "; ".join(record.left_out))
        costs.share()
        stop = stack.enter_context(StopSignal(quiet=not ranks.is_main))
        stack.enter_context(runtime.tf32_allowed())
        if ranks.size > 1:
            say(_about_ranks(config, ranks), quiet=quiet)
        again = _resume_command(verb, run.directory, config)
        session = Session(run, stop, config.checkpoint, again, quiet, ranks)
        yield Work(config, runtime, data, session, costs)


def _resume_command(verb: str, directory: Path, config: Config) -> str:
    """Return what to type to go on with a run that was stopped."""
    words = ["unas", verb, "--resume", "--out", shlex.quote(str(directory))]
    for name in sorted(outside_names(config)):
        words += ["--trust", name]
    return " ".join(words)


def _manifest(config: Config, runtime: Runtime) -> dict[str, Any]:
    """Return what this process is, for manifest.json."""
    manifest = collect_manifest(config.seed, sys.argv, runtime.describe())
    manifest["processes"] = runtime.ranks.size
    if job():
        manifest["job"] = job()
    return manifest


def _resume(
    config: Config, record: DataRecord, directory: Path, manifest: dict[str, Any]
) -> RunDirectory:
    """Go on with the run in a directory, if it is the same run on the same data."""
    require_same(config, directory)
    began = recorded_data(RunDirectory.open(directory))
    if began is None:
        manifest[DATA] = asdict(record)  # to be compared from now on
    else:
        require_same_data(record, began, directory, config.data_directory)
    return RunDirectory.resume(directory, manifest)


def _is_own(directory: Path) -> bool:
    """Return whether the directory's run was begun or resumed by this job of torchrun."""
    if not holds_run(directory):
        return False
    manifest = RunDirectory.open(directory).read_json(MANIFEST)
    return any(start.get("job") == job() for start in starts_in(manifest))


def _about_ranks(config: Config, ranks: Ranks) -> str:
    """Return what several processes change, in one line."""
    sizes = {TRAINING: config.training.batch_size}
    if config.genotype is None:
        sizes = {SEARCH: config.search.batch_size} | sizes
    shares = [
        f"{phase} {size} images a step, {size // ranks.size} each" for phase, size in sizes.items()
    ]
    return (
        f"{ranks.size} processes: {', '.join(shares)}; learning rates are those of the whole "
        "batch, for any number of processes"
    )


def resolved(config: Config | str) -> Config:
    """Return a configuration, or that of the recipe with this name."""
    return recipe(config) if isinstance(config, str) else config


def _load(config: Config) -> ImageData:
    return config.dataset.load(config.data_directory)


def _load_in_turn(config: Config, ranks: Ranks) -> ImageData:
    """Load the data, which may have to be downloaded: on each machine one process goes first."""
    if local_rank() == 0:
        data = _load(config)
        ranks.barrier()
        return data
    ranks.barrier()
    return _load(config)


def require_same(config: Config, directory: Path) -> None:
    """Refuse a configuration that is not that of the run in a directory.

    Raises:
        UserError: says which file has another.
    """
    path = directory / CONFIG
    text = read_text(path)
    if text != config_to_json(config) and not _means(text, config):
        raise UserError(
            f"{path} is not this run's configuration; "
            "resume with the same one, or use another --out"
        )


def _means(text: str, config: Config) -> bool:
    """Return whether another text says the same of a run.

    It may have the budgets as terms too, and its data elsewhere: that they are the same is seen
    from them.
    """
    try:
        saved = config_from_json(text, trusted=outside_names(config))
    except UserError:
        return False
    if saved.steered_search() != config.steered_search():
        return False
    same = replace(saved, search=config.search, data_root=config.data_root)
    return config_to_json(same) == config_to_json(config)


def finished(
    directory: str | Path, data_root: str | None, device: str | None, trusted: Collection[str]
) -> Work:
    """Return the work of a run that is only read; see `unas.pipeline.evaluate_run`.

    With no `device`, it is the run's own, or the CPU where this machine has no such device.
    """
    run = RunDirectory.open(directory)
    path = run.path(CONFIG)
    config = config_from_json(read_text(path), str(path), trusted)
    if config.data_root is not None and data_root is None:
        raise UserError(
            f"{path}: data_root is {shown(config.data_root)}, and a file is not trusted to name "
            f"a folder; say where the data are: --data-root {shlex.quote(config.data_root)}"
        )
    device = device or _device_here(config.runtime)
    config = replace(config, runtime=replace(config.runtime, device=device), data_root=data_root)
    runtime = config.runtime.build()
    summary = read_summary(run)
    session = Session(run, StopSignal(), config.checkpoint, resume_command="")
    data = _load(config).to(runtime.device)
    say(require_same_classes(data, run, config.data_directory), quiet=False)
    costs = DeployedCosts(config, data.size, runtime)
    return Work(config, runtime, data, session, costs, summary)


def _device_here(runtime: RuntimeConfig) -> str:
    """Return the device of a run; the CPU if this machine hasn't got it."""
    try:
        runtime.build()
    except UserError as error:
        _log.warning("%s; the run is judged on the CPU", error)
        return "cpu"
    return runtime.device
