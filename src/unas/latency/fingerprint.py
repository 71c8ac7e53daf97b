"""What a latency was measured on: without it a figure means nothing elsewhere, or next month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

import torch

from unas.common.errors import UserError
from unas.compute.hardware import cpu_count, cpu_name, device_name
from unas.latency import backends
from unas.latency.backends import Backend


@dataclass(frozen=True)
class Fingerprint:
    """Everything but the network that decides how long a forward takes.

    Args:
        processor: the model of the CPU; "remote" where a command reaches another machine.
        cores: how many of the CPU's cores this process may use; 0 where the CPU is remote.
        threads: how many CPU threads the network may use.
        accelerator: the model of the GPU; None on a CPU.
        device: PyTorch's name of the device, such as "cpu" or "cuda:0".
        backend: the name of the backend that runs the network.
        backend_version: the version of the backend; for a command, the command.
        torch_version: the version of PyTorch, which also writes the ONNX files.
        batch_size: how many images a forward takes.
        channels: how many channels an image has.
        height: the height of an image in pixels.
        width: the width of an image in pixels.
    """

    processor: str
    cores: int
    threads: int
    accelerator: str | None
    device: str
    backend: str
    backend_version: str
    torch_version: str
    batch_size: int
    channels: int
    height: int
    width: int

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return self.channels, self.height, self.width

    @classmethod
    def here(
        cls,
        backend: Backend,
        batch_shape: tuple[int, int, int, int],
        device: torch.device,
        threads: int,
    ) -> Fingerprint:
        """Return the fingerprint of this machine, for batches [B, C, H, W] on `device`."""
        batch_size, channels, height, width = batch_shape
        if backend.is_remote:
            processor, cores, accelerator = "remote", 0, None
        else:
            processor, cores, accelerator = cpu_name(), cpu_count(), _accelerator(device)
        return cls(
            processor=processor,
            cores=cores,
            threads=threads,
            accelerator=accelerator,
            device=str(device),
            backend=backends.registry.name_of(type(backend)),
            backend_version=backend.version(),
            torch_version=str(torch.__version__),
            batch_size=batch_size,
            channels=channels,
            height=height,
            width=width,
        )

    @classmethod
    def from_dict(cls, document: Any, source: str) -> Fingerprint:
        """Read what `dataclasses.asdict` made.

        Raises:
            UserError: a field is missing, unknown or of another type.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(document, Mapping) or set(document) != names:
            raise UserError(
                f"{source}: the fingerprint must have the fields {', '.join(sorted(names))}"
            )
        for name, hint in get_type_hints(cls).items():
            value = document[name]
            if not isinstance(value, hint) or isinstance(value, bool):
                raise UserError(f"{source}: fingerprint.{name} is {value!r}; is the file damaged?")
        return cls(**document)

    def difference(self, other: Fingerprint) -> str | None:
        """Return how another fingerprint differs from this one, or None where it doesn't.

        For example "batch_size is 1 there and 8 here".
        """
        for field in fields(self):
            there, here = getattr(self, field.name), getattr(other, field.name)
            if there != here:
                return f"{field.name} is {there} there and {here} here"
        return None


def _accelerator(device: torch.device) -> str | None:
    return None if device.type == "cpu" else device_name(device)
