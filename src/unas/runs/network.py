"""A trained network in one safetensors file that says how to rebuild it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from unas.architecture.genotype import Genotype
from unas.common.documents import Format, parse_json
from unas.common.errors import UserError
from unas.common.files import is_plain, require_inside, write_bytes
from unas.common.text import readable_size
from unas.compute.weights import load_weights
from unas.runs.names import WEIGHTS
from unas.spaces import Blueprint, SearchSpace, create_network, without_memory

FORMAT = Format(
    "unas.network", "1", "a network", ("genotype", "options", "num_classes", "image_channels")
)
MAX_BYTES = 4 * 2**30


def save_network(network: nn.Module, path: Path, genotype: Genotype, blueprint: Blueprint) -> None:
    """Write the weights, and how to rebuild the network, to one file.

    The file is replaced in one step.

    Args:
        network: the network that `blueprint` makes of `genotype`, with trained weights.
        path: the file, usually model.safetensors.
        genotype: the network's architecture.
        blueprint: the network's size.

    Raises:
        UserError: the file can't be written.
    """
    options = asdict(blueprint.decided(genotype).options)
    metadata = {
        **FORMAT.head(),
        "genotype": genotype.to_json(),
        "options": json.dumps(options),
        "num_classes": str(blueprint.num_classes),
        "image_channels": str(blueprint.image_channels),
    }
    # The file holds the values row by row, whatever memory format the training used. A weight of
    # two names is written under both: any module of this kind can then load the whole file.
    tensors = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in network.state_dict().items()
    }
    write_bytes(path, *_in_fixed_order(safetensors.torch.save(tensors, metadata)))


def _in_fixed_order(content: bytes) -> tuple[bytes, memoryview]:
    """Return the parts of a safetensors file with its metadata sorted.

    The library writes the metadata in a random order. A file is the header's length in 8 bytes,
    the header in JSON, and the tensors, which it places from its own end on.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors stay aligned
    return len(text).to_bytes(8, "little") + text, memoryview(content)[start:]


def load_network(path: str | Path, space: SearchSpace | None = None) -> nn.Module:
    """Return a trained network in evaluation mode on the CPU.

    Nothing from the file is executed: it holds plain numbers and names, and all of them are
    checked.

    Args:
        path: what `save_network` wrote, or a run directory with a model.safetensors.
        space: the search space, where the genotype's space isn't built in.

    Raises:
        UserError: the file is missing, damaged, or doesn't describe the network whose weights it
            holds.
    """
    path = Path(path)
    # Unlike Path's, this takes a name that no file can have.
    if os.path.isdir(path):
        require_inside(path, [WEIGHTS])
        path /= WEIGHTS
    metadata, weights = _read(path)
    build = _builder(metadata, path, space)
    # Without memory first: a damaged description can't claim any.
    _check_weights(without_memory(build), weights, path)
    # The random initialisation must not disturb the caller's numbers.
    with torch.random.fork_rng(devices=[]):
        network = build()
    load_weights(network, weights)
    return network.eval()


def read_options(path: str | Path) -> dict[str, Any]:
    """Return the network options that the network in a file of `save_network` was built with.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = Path(path)
    metadata, _ = _read(path)
    return _options(metadata, path)


def num_classes_of(directory: Path) -> int:
    """Return how many classes the trained network of a run tells apart.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = directory / WEIGHTS
    metadata, _ = _read(path)
    return _whole_number(metadata["num_classes"], f"{path}: num_classes")


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return the metadata and the weights of a file of `save_network`."""
    if not is_plain(path):
        raise UserError(
            f"{path} doesn't exist or is no file; train a network first, or name another run"
        )
    if path.stat().st_size > MAX_BYTES:
        raise UserError(
            f"{path} is larger than {readable_size(MAX_BYTES)}; unas writes no such network"
        )
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            # Copied, so that a file that is replaced or cut later does no harm.
            names = list(file.keys())
            weights = {name: file.get_tensor(name).clone() for name in names}
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} is no whole safetensors file ({error}); is it truncated?"
        ) from error
    FORMAT.check(metadata, str(path))
    return metadata, weights


def _builder(
    metadata: Mapping[str, str], path: Path, space: SearchSpace | None
) -> Callable[[], nn.Module]:
    """Return what builds the network that a file describes, untrained."""
    genotype = Genotype.from_json(metadata["genotype"], f"{path}: genotype")
    num_classes = _whole_number(metadata["num_classes"], f"{path}: num_classes")
    image_channels = _whole_number(metadata["image_channels"], f"{path}: image_channels")
    build = create_network if space is None else space.network
    return partial(build, genotype, num_classes, image_channels, **_options(metadata, path))


def _options(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    options = parse_json(metadata["options"], f"{path}: options")
    if not isinstance(options, dict):
        raise UserError(f"{path}: options is no JSON object")
    return options


def _whole_number(text: str, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 7):
        raise UserError(f"{what} is {text[:20]!r}; it must be a whole number")
    return int(text)


def _check_weights(network: nn.Module, weights: Mapping[str, Tensor], path: Path) -> None:
    expected = network.state_dict()
    for name in (*expected, *weights):
        if name not in expected or name not in weights:
            where = "missing" if name in expected else "not part of the network that it describes"
            raise UserError(f"{path}: the weight {name!r} is {where}; is the file damaged?")
        if expected[name].shape != weights[name].shape:
            raise UserError(
                f"{path}: the weight {name!r} has shape {list(weights[name].shape)}; "
                f"the network that it describes has {list(expected[name].shape)}"
            )
