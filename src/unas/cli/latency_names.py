"""What the actions of `unas latency` share: the backend, and what a name stands for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from unas.architecture.published import load_genotype
from unas.cli.options import ClockOptions
from unas.common.errors import UserError
from unas.common.files import is_plain, read_text
from unas.config.document import config_from_json
from unas.graphs.onnx_size import input_shape_of, load_onnx
from unas.latency import backends
from unas.latency.backends import Backend
from unas.runs.names import CONFIG, ONNX, WEIGHTS
from unas.runs.network import read_options
from unas.spaces import Blueprint, NetworkOptions, SearchSpace, built_in_space

DEFAULT_SHAPE = (3, 32, 32)


def backend_of(options: ClockOptions) -> Backend:
    """Return the backend that measures.

    Raises:
        UserError: there is no such backend, or its command is missing; or a command is given to
            another one.
    """
    name = options.backend
    if "command" in backends.options_of(backends.get(name)):
        command = options.command or ""
        return backends.create(name, command=command, timeout_seconds=options.timeout)
    if options.command is not None:
        raise UserError(f"--command is given, but --backend is {name}; add --backend command")
    return backends.create(name)


def file_of(name: str) -> Path | None:
    """Return the ONNX file that a name stands for, its own or a run's.

    There is none for a genotype's name.
    """
    path = Path(name)
    if is_plain(path / ONNX):
        return path / ONNX
    return path if path.suffix == ".onnx" else None


def weights_of(name: str) -> Path | None:
    """Return the weights of a run that has trained a network; None if it is something else."""
    path = Path(name) / WEIGHTS
    return path if is_plain(path) else None


def space_of_run(name: str, trusted: Sequence[str]) -> SearchSpace:
    """Return the space of a run; one from outside unas is made from the run's configuration.

    Args:
        name: the run directory.
        trusted: components from outside that may be imported.

    Raises:
        UserError: the space is from outside, and not trusted.
    """
    space = built_in_space(load_genotype(name))
    if space is not None:
        return space
    path = Path(name) / CONFIG
    return config_from_json(read_text(path), str(path), trusted).space


def default_network(name: str) -> NetworkOptions:
    """Return the size of the network of a genotype: that of its run, or else its space's default.

    Raises:
        UserError: there is no such genotype, or nothing is known about its space.
    """
    genotype = load_genotype(name)
    space = built_in_space(genotype)
    if space is None:
        raise UserError(
            f"{name} is of the space {genotype.space!r}; measure its run or its ONNX file"
        )
    weights = weights_of(name)
    if weights is None:
        return space.network_options()
    return space.network_options.from_keywords(read_options(weights))


def network_of(
    name: str, size: NetworkOptions, classes: int, shape: tuple[int, int, int]
) -> nn.Module:
    """Return the network of a genotype, untrained."""
    genotype = load_genotype(name)
    space = built_in_space(genotype)
    assert space is not None  # noqa: S101  `default_network` has refused the others
    return Blueprint(space, size, classes, shape).network(genotype)


def shape_of(name: str, typed: tuple[int, ...] | None) -> tuple[int, int, int]:
    """Return (C, H, W): as typed, or else as the ONNX file has it.

    Raises:
        UserError: it isn't three positive numbers, or not those of the file.
    """
    shape = None if typed is None else image_shape(typed)
    file = file_of(name)
    if file is not None:
        return input_shape_of(load_onnx(file), file, shape)
    return shape or DEFAULT_SHAPE


def image_shape(typed: tuple[int, ...]) -> tuple[int, int, int]:
    """Return what was typed as (C, H, W).

    Raises:
        UserError: it isn't three positive numbers.
    """
    if len(typed) != 3 or min(typed) < 1:
        raise UserError(
            f"--input-shape is {typed}; give channels, height and width, for example 3,32,32"
        )
    return typed[0], typed[1], typed[2]
