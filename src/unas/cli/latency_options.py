"""What the actions of `unas latency` share: the backend from its flags, and what a name stands for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from unas.architecture.published import load_genotype
from unas.common.errors import UserError
from unas.common.files import is_plain
from unas.graphs.onnx_size import input_shape_of, load_onnx
from unas.latency import backends
from unas.latency.backends import Backend
from unas.runs.names import ONNX, WEIGHTS
from unas.runs.network import read_options
from unas.spaces import Blueprint, NetworkOptions, built_in_space

DEFAULT_SHAPE = (3, 32, 32)


@dataclass(frozen=True)
class Where:
    """Where to measure.

    Args:
        backend: what runs the network: eager, compiled, onnxruntime, command or
            package.module:Class.
        device: cpu, cuda or cuda:N.
        threads: CPU threads; none for as many as PyTorch takes.
        command: of the backend command: a command line; {model} in it is the path of the ONNX file.
        timeout: of the backend command: the most seconds that one call may take.
    """

    backend: str = "onnxruntime"
    device: str = "cpu"
    threads: int | None = None
    command: str | None = None
    timeout: float = 60.0

    def build(self) -> Backend:
        """Return the backend.

        Raises:
            UserError: there is no such backend, or its command is missing; or a command is given to
                another one.
        """
        if "command" not in backends.options_of(backends.get(self.backend)):
            if self.command is not None:
                raise UserError(
                    f"--command is given, but --backend is {self.backend}; add --backend command"
                )
            return backends.create(self.backend)
        command = self.command or ""
        return backends.create(self.backend, command=command, timeout_seconds=self.timeout)


def file_of(name: str) -> Path | None:
    """Return the ONNX file that a name stands for: its own, or that of a run; None if it is a genotype's."""
    path = Path(name)
    if is_plain(path / ONNX):
        return path / ONNX
    return path if path.suffix == ".onnx" else None


def weights_of(name: str) -> Path | None:
    """Return the weights of a run that has trained a network; None if it is something else."""
    path = Path(name) / WEIGHTS
    return path if is_plain(path) else None


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
    cls = space.network_options
    return cls.from_keywords(read_options(weights)) if weights else cls()


def network_of(
    name: str, size: NetworkOptions, classes: int, shape: tuple[int, int, int]
) -> nn.Module:
    """Return the network of a genotype, untrained."""
    genotype = load_genotype(name)
    space = built_in_space(genotype)
    assert space is not None  # noqa: S101  `default_network` has refused the others
    return Blueprint(space, size, classes, shape).network(genotype)


def shape_of(name: str, given: tuple[int, ...] | None) -> tuple[int, int, int]:
    """Return (C, H, W): as given, or else as the ONNX file has it.

    Raises:
        UserError: it isn't three positive numbers, or not those of the file.
    """
    if given is not None and (len(given) != 3 or min(given) < 1):
        raise UserError(
            f"--input-shape is {given}; give channels, height and width, for example 3,32,32"
        )
    shape = None if given is None else (given[0], given[1], given[2])
    file = file_of(name)
    return input_shape_of(load_onnx(file), file, shape) if file else shape or DEFAULT_SHAPE
