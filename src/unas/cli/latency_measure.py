"""`unas latency measure`: how long a network takes, here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unas.cli.commands import Command
from unas.cli.latency_names import (
    backend_of,
    default_network,
    file_of,
    network_of,
    shape_of,
    space_of_run,
    weights_of,
)
from unas.cli.options import MeasureOptions
from unas.cli.output import print_rows
from unas.cli.words import require_no_more, take, take_name
from unas.common.documents import write_json
from unas.common.files import make_directory
from unas.latency import Fingerprint, Latency, measure_file
from unas.latency import measure as measure_network
from unas.latency.backends import Backend
from unas.runs.network import load_network
from unas.spaces import NetworkOptions


@dataclass(frozen=True)
class NetworkSize:
    """How large the network of a genotype is.

    Args:
        network: its size.
        classes: how many it tells apart.
    """

    network: NetworkOptions
    classes: int = 10


def measure(command: Command, words: Sequence[str]) -> None:
    """Do `unas latency measure` with the words that follow it.

    Raises:
        UserError: a word is wrong, or it can't be measured here.
    """
    options, words = take(MeasureOptions(), words)
    name, words = take_name(command, words)
    file = file_of(name)
    if file is None:
        size, words = take(NetworkSize(default_network(name)), words)
        require_no_more(command, words, options, size)
        make_place(options.json)
        latency = _measure_genotype(name, size, options)
    else:
        require_no_more(command, words, options)
        make_place(options.json)
        latency = _measure_file(name, file, options)
    print_rows([("latency", latency.line()), *fingerprint_rows(latency.fingerprint)])
    if options.json is not None:
        document = {"model": name, **asdict(latency), "is_noisy": latency.is_noisy}
        write_json(Path(options.json), document)


def make_place(file: str | None) -> None:
    """Make the directory of the file for the figures, if one is asked for, before they are taken.

    Raises:
        UserError: it can't be made, or is a file.
    """
    if file is not None:
        make_directory(Path(file).parent)


def fingerprint_rows(fingerprint: Fingerprint) -> list[tuple[str, str]]:
    """Return what a figure was measured on, for `print_rows`."""
    machine = fingerprint.processor
    if fingerprint.cores:
        machine += f", {fingerprint.cores} cores"
    if fingerprint.accelerator:
        machine += f", {fingerprint.accelerator}"
    threads = f"{fingerprint.threads} thread" + ("s" if fingerprint.threads > 1 else "")
    images = "×".join(map(str, (fingerprint.batch_size, *fingerprint.input_shape)))
    backend = f"{fingerprint.backend} {fingerprint.backend_version}"
    return [
        ("machine", machine),
        ("on", f"{fingerprint.device}, {threads}, images {images}"),
        ("backend", f"{backend}, torch {fingerprint.torch_version}"),
    ]


def _measure_genotype(name: str, size: NetworkSize, options: MeasureOptions) -> Latency:
    """Measure the network of a genotype, untrained."""
    backend = backend_of(options)
    shape = shape_of(name, options.input_shape)
    network = network_of(name, size.network, size.classes, shape)
    return measure_network(network, (options.batch, *shape), **_how(backend, options))


def _measure_file(name: str, file: Path, options: MeasureOptions) -> Latency:
    """Measure an ONNX file, or a run's trained network on a backend that runs no files."""
    backend = backend_of(options)
    images = (options.batch, *shape_of(name, options.input_shape))
    how = _how(backend, options)
    if not backend.runs_files and weights_of(name):
        network = load_network(name, space_of_run(name, options.trust))
        return measure_network(network, images, **how)
    return measure_file(file, images, **how)


def _how(backend: Backend, options: MeasureOptions) -> dict[str, Any]:
    return {
        "backend": backend,
        "device": options.device,
        "threads": options.threads,
        "samples": options.samples,
        "max_seconds": options.seconds,
    }
