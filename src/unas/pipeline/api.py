"""What a caller asks for: a whole run, one of its phases, or one step."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unas.architecture.genotype import Genotype
from unas.architecture.published import load_genotype
from unas.common.errors import UserError
from unas.config import Config
from unas.graphs.onnx import check_opset
from unas.objectives import RunningTerm, Setting
from unas.pipeline.deployed import start_terms
from unas.pipeline.opening import finished, resolved, work_in
from unas.pipeline.phases import export_network, find_genotype, test, train_network
from unas.pipeline.work import Work
from unas.report import write_report
from unas.runs.names import GENOTYPE, REPORT
from unas.runs.network import load_network
from unas.searching.config import SearchConfig
from unas.searching.step import SearchStep
from unas.spaces import Blueprint

_log = logging.getLogger("unas.pipeline")


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


def run(
    config: Config | str,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    quiet: bool = False,
) -> Result:
    """Search an architecture, train it from scratch, export it, measure it and draw the report.

    Args:
        config: a configuration, or the name of a recipe. With its `genotype` set, nothing is
            searched.
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


def search(
    config: Config | str,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    quiet: bool = False,
) -> Result:
    """Search an architecture and choose it.

    See `run`. The configuration's `genotype` must not be set.
    """
    genotype = resolved(config).genotype
    if genotype is not None:
        raise UserError(
            f"genotype is {genotype!r}, but a search finds its own; leave it out, or use train"
        )
    with work_in(config, out, "search", resume=resume, quiet=quiet) as work:
        return _result(work, find_genotype(work))


def train(
    config: Config | str,
    out: str | Path | None = None,
    *,
    resume: bool = False,
    quiet: bool = False,
) -> Result:
    """Train the architecture named by the configuration's `genotype` from scratch, and export it.

    See `run`.
    """
    if resolved(config).genotype is None:
        raise UserError(
            "genotype is not set; give a published name, a JSON file or a run directory"
        )
    return run(config, out, resume=resume, quiet=quiet)


def search_step(
    config: Config | str,
    device: str = "cpu",
    num_classes: int | None = None,
    image_channels: int | None = None,
    image_size: int | None = None,
) -> SearchStep:
    """Return `step(x, y, x_val, y_val)`: one whole update of the policy and the weights.

    It needs no data and no files.

    Args:
        config: a configuration, or the name of a recipe.
        device: where to compute.
        num_classes: how many classes the images have; None for what the data set is known to have.
        image_channels: channels of an image; None for what the data set is known to have.
        image_size: height and width of the images, where a budget or a term of the cost is about
            the network that will be deployed, such as its latency: it is counted or measured here.

    Raises:
        UserError: the data set says nothing about its images without its files, or a term needs
            `image_size`.
    """
    config = resolved(config)
    search_config = config.steered_search()
    data = type(config.dataset)
    num_classes = num_classes or data.num_classes
    image_channels = image_channels or data.image_channels
    if num_classes is None or image_channels is None:
        raise UserError(
            f"num_classes and image_channels of {data.__name__} are known only from its files; "
            "give both"
        )
    runtime = replace(config.runtime, device=device).build()
    terms: dict[str, RunningTerm] = {}
    if image_size is not None:
        blueprint = config.blueprint(num_classes, (image_channels, image_size, image_size))
        terms = _prepared_terms(search_config, blueprint, str(runtime.device))
    return SearchStep(
        config.space,
        search_config,
        num_classes,
        image_channels,
        runtime,
        seed=config.seed,
        policy_terms=terms,
    )


def _prepared_terms(
    search_config: SearchConfig, blueprint: Blueprint, device: str
) -> dict[str, RunningTerm]:
    """Return the terms that are about the deployed network, which is counted or measured here."""
    setting = Setting(blueprint, search_config.estimator, device=device)
    terms = start_terms(search_config.objectives, setting)
    for term in terms.values():
        term.prepare()
    return terms


def evaluate_run(
    directory: str | Path,
    data_root: str | None = None,
    device: str = "auto",
    trusted: Collection[str] = (),
) -> dict[str, float]:
    """Return the accuracy and the loss on the test images of the network that a run has trained.

    Args:
        directory: the run directory.
        data_root: where data sets are; a run that was told where they are needs to be told again.
        device: where to compute.
        trusted: components outside unas, `package.module:Class`, that the run uses and that may be
            imported.
    """
    work = finished(directory, data_root, device, trusted)
    network = load_network(Path(directory), work.config.space).to(work.runtime.device)
    return test(work, network)


def export_run(
    directory: str | Path,
    data_root: str | None = None,
    trusted: Collection[str] = (),
    opset: int | None = None,
) -> dict[str, Any]:
    """Write a run's model.onnx anew from its weights, check and measure it; return the figures.

    Args:
        directory: the run directory.
        data_root: see `evaluate_run`.
        trusted: see `evaluate_run`.
        opset: the version of ONNX's operators in the file; None for that of the run.

    Raises:
        UserError: the run has no network, there is no such opset, or ONNX Runtime's logits are not
            the network's.
    """
    if opset is not None:
        check_opset(opset)
    work = finished(directory, data_root, None, trusted)
    if opset is not None:
        work = replace(work, config=replace(work.config, opset=opset))
    network = load_network(Path(directory), work.config.space).to(work.runtime.device)
    export_network(work, network, load_genotype(Path(directory) / GENOTYPE))
    _draw_report(work)
    return work.summary


def _result(work: Work, genotype: Genotype) -> Result:
    _draw_report(work)
    return Result(work.session.run.directory, genotype, work.summary)


def _draw_report(work: Work) -> None:
    """Write report.html, on rank 0 alone.

    What goes wrong there is told, and the finished run stays finished.
    """
    if not work.ranks.is_main:
        return
    directory = work.session.run.directory
    try:
        write_report([directory])
    except Exception as error:
        again = f"the run is complete; unas report {shlex.quote(str(directory))} tries again"
        _log.warning("%s can't be drawn: %s; %s", REPORT, error, again)
