"""What a latency is the latency on: without it a figure means nothing elsewhere, or next month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
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
        cores: how many of its cores this process may use; 0 if remote.
        threads: how many CPU threads the network may use.
        accelerator: the model of the GPU; None on a CPU.
        device: "cpu", "cuda:0", …
        backend: what runs the network.
        backend_version: its version; for a command, the command.
        torch_version: of PyTorch, which also writes the ONNX files.
        batch_size: images of a forward.
        channels: of an image.
        height: of an image, in pixels.
        width: of an image, in pixels.
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
        return cls(
            processor="remote" if backend.is_remote else cpu_name(),
            cores=0 if backend.is_remote else cpu_count(),
            threads=threads,
            accelerator=None if backend.is_remote or device.type == "cpu" else device_name(device),
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
            if not isinstance(document[name], hint) or isinstance(document[name], bool):
                raise UserError(
                    f"{source}: fingerprint.{name} is {document[name]!r}; is the file damaged?"
                )
        return cls(**document)

    def difference(self, other: Fingerprint) -> str | None:
        """Return how another fingerprint differs, "batch_size is 1 there and 8 here"; None if it doesn't."""
        mine, its = asdict(self), asdict(other)
        return next(
            (
                f"{name} is {mine[name]} there and {its[name]} here"
                for name in mine
                if mine[name] != its[name]
            ),
            None,
        )
