"""A trained network in one safetensors file that says how to rebuild it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from unas.architecture.genotype import Genotype
from unas.common.errors import UserError
from unas.common.files import is_plain, parse_json, require_inside, write_bytes
from unas.common.text import readable_size
from unas.spaces import SearchSpace, create_network

FILE_NAME = "model.safetensors"
FORMAT, VERSION = "unas.network", "1"
MAX_BYTES = 4 * 2**30


@dataclass(frozen=True)
class NetworkDescription:
    """How to rebuild a network.

    Args:
        genotype: its architecture.
        num_classes: how many classes it tells apart.
        image_channels: channels of an image.
        options: values of its space's `network_options`, for example {"channels": 36}.
    """

    genotype: Genotype
    num_classes: int
    image_channels: int
    options: Mapping[str, Any]

    def build(self, space: SearchSpace | None = None) -> nn.Module:
        """Return the network, untrained; `space` is needed where the genotype's space isn't built in."""
        if space is not None:
            return space.network(
                self.genotype, self.num_classes, self.image_channels, **self.options
            )
        return create_network(self.genotype, self.num_classes, self.image_channels, **self.options)


def save_network(network: nn.Module, path: Path, description: NetworkDescription) -> None:
    """Write the weights, and how to rebuild the network, to one file, which is replaced in one step.

    Args:
        network: the network that `description` builds, with trained weights.
        path: the file, usually model.safetensors.
        description: its architecture and size.

    Raises:
        UserError: the file can't be written.
    """
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "genotype": description.genotype.to_json(),
        "options": json.dumps(dict(description.options)),
        "num_classes": str(description.num_classes),
        "image_channels": str(description.image_channels),
    }
    # The file holds the values row by row, whatever memory format the training used.
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    write_bytes(path, *_in_fixed_order(safetensors.torch.save(tensors, metadata)))


def _in_fixed_order(content: bytes) -> tuple[bytes, memoryview]:
    """Return the parts of a safetensors file with its metadata sorted: the library writes them in a random order.

    A file is the header's length in 8 bytes, the header in JSON, and the tensors, which it places
    from its own end on.
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
    if os.path.isdir(path):  # unlike Path's, it takes a name that no file can have
        require_inside(path, [FILE_NAME])
        path /= FILE_NAME
    description, weights = _read(path)
    with torch.device("meta"):  # costs nothing, so a damaged description can't claim memory
        _check_weights(description.build(space), weights, path)
    with torch.random.fork_rng(
        devices=[]
    ):  # the random initialisation must not disturb the caller's numbers
        network = description.build(space)
    network.load_state_dict(weights)
    return network.eval()


def read_description(path: str | Path) -> NetworkDescription:
    """Return how the network in a file of `save_network` is built.

    Raises:
        UserError: the file is missing or damaged.
    """
    return _read(Path(path))[0]


def _read(path: Path) -> tuple[NetworkDescription, dict[str, Tensor]]:
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
            weights = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  not a mapping
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} is no whole safetensors file ({error}); is it truncated?"
        ) from error
    return _description(metadata, path), weights


def _description(metadata: Mapping[str, str], path: Path) -> NetworkDescription:
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        raise UserError(
            f"{path} was not written by this unas: its format is {metadata.get('format')!r}"
        )
    fields = ("genotype", "options", "num_classes", "image_channels")
    missing = [name for name in fields if name not in metadata]
    if missing:
        raise UserError(
            f"{path}: the metadata field {missing[0]!r} is missing; write the file again"
        )
    options = parse_json(metadata["options"], f"{path}: options")
    if not isinstance(options, dict):
        raise UserError(f"{path}: options is no JSON object")
    return NetworkDescription(
        Genotype.from_json(metadata["genotype"], f"{path}: genotype"),
        _whole_number(metadata["num_classes"], f"{path}: num_classes"),
        _whole_number(metadata["image_channels"], f"{path}: image_channels"),
        options,
    )


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
