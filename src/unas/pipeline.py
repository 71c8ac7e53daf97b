"""What a caller asks for: a whole run, one of its phases, or one step (the main path of the house)."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unas.budget_terms import Promised, start_terms, with_budget_terms
from unas.components import component_names, is_outside
from unas.config import Config
from unas.config_json import config_from_json, config_to_json
from unas.config_values import shown
from unas.data import ImageData
from unas.deployment import Deployment
from unas.distributed import Ranks, job, joined, local_rank, restarts
from unas.errors import UserError
from unas.files import read_text
from unas.follower import open_together
from unas.genotype import Genotype
from unas.genotype_files import load_genotype
from unas.interruption import StopSignal
from unas.manifest import collect_manifest
from unas.network_files import load_network
from unas.objectives import RunningTerm, Setting
from unas.phase import Session
from unas.recipes import recipe
from unas.report import write_report
from unas.run_directory import CONFIG, GENOTYPE, MANIFEST, REPORT, RunDirectory
from unas.runtime import Runtime
from unas.search_update import SearchStep
from unas.work import Work, check, export_network, find_genotype, read_summary, test, train_network


@dataclass(frozen=True)
class Result:
    """What a run found.

    Args:
        directory: the run directory.
        genotype: the architecture.
        summary: the figures of summary.json.
    """

    directory: Path
    genotype: Genotype
    summary: dict[str, Any]


def run(config: Config | str, out: str | Path | None = None, *, resume: bool = False, quiet: bool = False) -> Result:
    """Search an architecture, train it from scratch, export it, measure the export and draw the report.

    Args:
        config: a configuration, or the name of a recipe. With its `genotype` set, nothing is searched.
        out: the run directory; runs/NAME-TIME when not given.
        resume: go on with the run in `out`; if there is none yet, start it.
        quiet: show no progress.

    Raises:
        UserError: the configuration, the data or the directory can't be used.
        Interrupted: the user asked to stop; the run is saved.
    """
    with work_in(config, out, "run", resume=resume, quiet=quiet) as work:
        genotype = find_genotype(work)
        export_network(work, train_network(work, genotype), genotype)
        return _result(work, genotype)


def search(config: Config | str, out: str | Path | None = None, *, resume: bool = False, quiet: bool = False) -> Result:
    """Search an architecture and choose it; see `run`. The configuration's `genotype` must not be set."""
    if (given := _resolved(config).genotype) is not None:
        raise UserError(f"genotype is {given!r}, but a search finds its own; leave it out, or use train")
    with work_in(config, out, "search", resume=resume, quiet=quiet) as work:
        return _result(work, find_genotype(work))


def train(config: Config | str, out: str | Path | None = None, *, resume: bool = False, quiet: bool = False) -> Result:
    """Train the architecture named by the configuration's `genotype` from scratch, and export it; see `run`."""
    if _resolved(config).genotype is None:
        raise UserError("genotype is not set; give a published name, a JSON file or a run directory")
    return run(config, out, resume=resume, quiet=quiet)


def search_step(
    config: Config | str,
    device: str = "cpu",
    num_classes: int | None = None,
    image_channels: int | None = None,
    image_size: int | None = None,
) -> SearchStep:
    """Return `step(x, y, x_val, y_val)`: one whole update of the policy and the weights, without data or files.

    Args:
        config: a configuration, or the name of a recipe.
        device: where to compute.
        num_classes: of the images; the data set's, where it is known without its files.
        image_channels: of the images; likewise.
        image_size: height and width of the images, where a term of the cost is about the network that will be deployed,
            such as its latency: it is counted or measured here.

    Raises:
        UserError: the data set says nothing about its images without its files, or a term needs `image_size`.
    """
    config = _resolved(config)
    data = type(config.dataset)
    classes, channels = num_classes or data.num_classes, image_channels or data.image_channels
    if classes is None or channels is None:
        raise UserError(f"num_classes and image_channels of {data.__name__} are known only from its files; give both")
    runtime = replace(config.runtime, device=device).build()
    terms: dict[str, RunningTerm] = {}
    if image_size is not None:
        size = (channels, image_size, image_size)
        deployment = Deployment(config.space, config.network, classes, size, str(runtime.device))
        terms = start_terms(config.search.objectives, Setting(deployment, config.search.estimator))
        for term in terms.values():
            term.prepare()
    return SearchStep(config.space, config.search, classes, channels, runtime, seed=config.seed, policy_terms=terms)


def evaluate_run(
    directory: str | Path, data_root: str | None = None, device: str = "auto", trusted: Collection[str] = ()
) -> dict[str, float]:
    """Return the accuracy and the loss on the test images of the network that a run has trained.

    Args:
        directory: the run directory.
        data_root: where data sets are; a run that was told where they are needs to be told again.
        device: where to compute.
        trusted: components outside unas, `package.module:Class`, that the run uses and that may be imported.
    """
    work = _finished(directory, data_root, device, trusted)
    accuracy, loss = test(work, load_network(Path(directory), work.config.space).to(work.runtime.device))
    return {"test_accuracy": accuracy, "test_loss": loss}


def export_run(directory: str | Path, data_root: str | None = None, trusted: Collection[str] = ()) -> dict[str, Any]:
    """Write a run's model.onnx anew from its weights, check and measure it; return the figures; see `evaluate_run`."""
    work = _finished(directory, data_root, "cpu", trusted)
    network = load_network(Path(directory), work.config.space)
    export_network(work, network, load_genotype(Path(directory) / GENOTYPE))
    _draw_report(work)
    return work.summary


def new_directory(name: str) -> Path:
    """Return an unused run directory: runs/NAME-TIME, in UTC."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return next(
        path for n in range(10_000) if not (path := Path("runs") / f"{name}-{stamp}{f'-{n}' * (n > 0)}").exists()
    )


@contextlib.contextmanager
def work_in(config: Config | str, out: str | Path | None, verb: str, *, resume: bool, quiet: bool) -> Iterator[Work]:
    """Open a run, new or resumed, for the work of a command called `verb`; see `run`."""
    name = config if isinstance(config, str) else type(config.dataset).__name__.lower()
    config = with_budget_terms(_resolved(config))
    directory = Path(out) if out is not None else new_directory(name.replace(":", "-"))
    with contextlib.ExitStack() as stack:
        ranks = stack.enter_context(joined(config.runtime.build().device))
        runtime = config.runtime.build()
        ranks.require_same(config_to_json(config), "the configuration")
        data = _load_in_turn(config, ranks).to(runtime.device)
        is_restarted = ranks.largest(restarts()) > 0
        quiet = quiet or not ranks.is_main
        promised = Promised(config, data, runtime, quiet=quiet)
        opened = stack.enter_context(
            open_together(
                ranks,
                lambda: _open(
                    config, data, runtime, directory, promised, resume=resume or (is_restarted and _is_own(directory))
                ),
            )
        )
        promised.share()
        stop = stack.enter_context(StopSignal(quiet=not ranks.is_main))
        stack.enter_context(runtime.tf32_allowed())
        outside = [name for name in sorted(component_names(config)) if is_outside(name)]
        out_words = f"unas {verb} --resume --out {shlex.quote(str(opened.directory))}"
        words = [out_words, *(f"--trust {name}" for name in outside)]
        if ranks.size > 1 and not quiet:
            print(_about_ranks(config, ranks), file=sys.stderr, flush=True)
        session = Session(opened, stop, config.checkpoint, " ".join(words), quiet, ranks)
        yield Work(config, runtime, data, session, promised)


def _open(
    config: Config, data: ImageData, runtime: Runtime, directory: Path, promised: Promised, *, resume: bool
) -> RunDirectory:
    """Go on with the run in a directory, or make a new one there."""
    manifest = {**collect_manifest(config.seed, sys.argv, runtime.describe()), "processes": runtime.ranks.size}
    manifest |= {"job": job()} if job() else {}
    if resume and RunDirectory.holds_run(directory):
        _require_same(config, directory)
        return RunDirectory.resume(directory, manifest)
    check(config, data, runtime.ranks)
    promised.require_possible()
    return RunDirectory.create(directory, config_to_json(config), manifest)


def _is_own(directory: Path) -> bool:
    """Return whether the run in a directory, if there is one, was begun or resumed by this job of torchrun."""
    if not RunDirectory.holds_run(directory):
        return False
    manifest = RunDirectory.open(directory).read_json(MANIFEST)
    entries = [manifest, *manifest.get("resumed", [])] if isinstance(manifest, dict) else []
    return job() in [entry.get("job") for entry in entries if isinstance(entry, dict)]


def _about_ranks(config: Config, ranks: Ranks) -> str:
    """Return what several processes change, in one line (SPEC §6: the published rates are those of all together)."""
    phases = {} if config.genotype is not None else {"search": config.search.batch_size}
    batches = {**phases, "training": config.training.batch_size}
    shares = ", ".join(f"{phase} {size} images a step, {size // ranks.size} each" for phase, size in batches.items())
    return f"{ranks.size} processes: {shares}; learning rates are those of the whole batch, for any number of processes"


def _resolved(config: Config | str) -> Config:
    return recipe(config) if isinstance(config, str) else config


def _load(config: Config) -> ImageData:
    return config.dataset.load(config.data_directory)


def _load_in_turn(config: Config, ranks: Ranks) -> ImageData:
    """Load the data, which may have to be downloaded: on each machine one process goes first."""
    is_first = local_rank() == 0
    data = _load(config) if is_first else None
    ranks.barrier()
    return data or _load(config)


def _require_same(config: Config, directory: Path) -> None:
    if read_text(directory / CONFIG) != config_to_json(config):
        raise UserError(
            f"{directory / CONFIG} is not this run's configuration; resume with the same one, or use another --out"
        )


def _finished(directory: str | Path, data_root: str | None, device: str, trusted: Collection[str]) -> Work:
    opened = RunDirectory.open(directory)
    config = config_from_json(read_text(opened.path(CONFIG)), str(opened.path(CONFIG)), trusted)
    if config.data_root is not None and data_root is None:
        raise UserError(
            f"{opened.path(CONFIG)}: data_root is {shown(config.data_root)}, and a file is not trusted to name a "
            f"folder; say where the data are: --data-root {shlex.quote(config.data_root)}"
        )
    config = replace(config, runtime=replace(config.runtime, device=device), data_root=data_root)
    runtime = config.runtime.build()
    summary = read_summary(opened)
    session = Session(opened, StopSignal(), config.checkpoint, "")
    data = _load(config).to(runtime.device)
    return Work(config, runtime, data, session, Promised(config, data, runtime), summary)


def _result(work: Work, genotype: Genotype) -> Result:
    _draw_report(work)
    return Result(work.session.run.directory, genotype, work.summary)


def _draw_report(work: Work) -> None:
    """Write report.html, on rank 0 alone; what goes wrong there is told, and the finished run stays finished."""
    if not work.ranks.is_main:
        return
    directory = work.session.run.directory
    try:
        write_report([directory])
    except Exception as error:
        again = f"the run is complete; unas report {shlex.quote(str(directory))} tries again"
        print(f"{REPORT} can't be drawn: {error}; {again}", file=sys.stderr, flush=True)
