"""`unas latency measure`: how long a network takes, here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unas.cli.flags import parse
from unas.cli.latency_options import (
    Where,
    default_network,
    file_of,
    network_of,
    shape_of,
    weights_of,
)
from unas.cli.output import print_rows
from unas.cli.words import take_name
from unas.common.documents import write_json
from unas.common.errors import UserError
from unas.latency import Fingerprint, Latency, measure_file
from unas.latency import measure as measure_network
from unas.latency.measurement import SAMPLES
from unas.runs.network import load_network
from unas.spaces import NetworkOptions


@dataclass(frozen=True)
class FileOptions:
    """How to measure.

    Args:
        where: the backend and the device.
        input_shape: channels, height and width of an image; none is the file's own, or 3,32,32 for
            a genotype.
        batch: images of a forward.
        samples: how many runs are taken, after warming up.
        seconds: the most that warming up and measuring take.
        json: a file to write the figures to.
    """

    where: Where = Where()
    input_shape: tuple[int, ...] | None = None
    batch: int = 1
    samples: int = SAMPLES
    seconds: float = 10.0
    json: str | None = None


@dataclass(frozen=True)
class GenotypeOptions(FileOptions):
    """How to measure, and how large the network is.

    Args:
        network: its size.
        classes: how many it tells apart.
    """

    network: NetworkOptions = NetworkOptions()
    classes: int = 10


def measure(command: str, words: list[str]) -> int:
    """Do `unas latency measure` with the words that follow it.

    Raises:
        UserError: a word is wrong, or it can't be measured here.
    """
    name, words = take_name(words, "MODEL, GENOTYPE or RUN", f"unas {command} UNAS_CIFAR10")
    defaults = FileOptions() if file_of(name) else GenotypeOptions(network=default_network(name))
    about = "Measure how long a network takes."
    options: FileOptions = parse(defaults, words, f"unas {command} {name}", about, ("where",))
    if options.batch < 1:
        raise UserError(f"--batch is {options.batch}; it must be 1 or more")
    latency = _measured(name, options)
    print_rows([("latency", latency.line()), *fingerprint_rows(latency.fingerprint)])
    if options.json is not None:
        write_json(
            Path(options.json), {"model": name, **asdict(latency), "is_noisy": latency.is_noisy}
        )
    return 0


def fingerprint_rows(fingerprint: Fingerprint) -> list[tuple[str, str]]:
    """Return what a figure was measured on, for `print_rows`."""
    cores = f", {fingerprint.cores} cores" if fingerprint.cores else ""
    accelerator = f", {fingerprint.accelerator}" if fingerprint.accelerator else ""
    threads = f"{fingerprint.threads} thread" + ("s" if fingerprint.threads > 1 else "")
    shape = "×".join(map(str, (fingerprint.batch_size, *fingerprint.input_shape)))
    return [
        ("machine", f"{fingerprint.processor}{cores}{accelerator}"),
        ("on", f"{fingerprint.device}, {threads}, images {shape}"),
        (
            "backend",
            f"{fingerprint.backend} {fingerprint.backend_version}, torch {fingerprint.torch_version}",
        ),
    ]


def _measured(name: str, options: FileOptions) -> Latency:
    backend, file = options.where.build(), file_of(name)
    images = (options.batch, *shape_of(name, options.input_shape))
    where: Any = {
        "backend": backend,
        "device": options.where.device,
        "threads": options.where.threads,
        "samples": options.samples,
        "max_seconds": options.seconds,
    }
    if isinstance(options, GenotypeOptions):
        return measure_network(
            network_of(name, options.network, options.classes, images[1:]), images, **where
        )
    assert file is not None  # noqa: S101  for the type checker
    # A run has its trained network beside the file, for the backends that run no files.
    if not backend.runs_files and weights_of(name):
        return measure_network(load_network(name), images, **where)
    return measure_file(file, images, **where)
