"""A backend from outside the package, in one file: a megabyte of an ONNX file takes a second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from unas.graphs.quick_onnx import quick_onnx
from unas.latency.backends import Backend, Clock


@dataclass(frozen=True)
class FileClock(Backend):
    """Milliseconds from the bytes of an ONNX file."""

    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    runs_files: ClassVar[bool] = True

    def prepare(
        self,
        network: nn.Module,
        batch_shape: tuple[int, int, int, int],
        device: torch.device,  # noqa: ARG002
        threads: int,  # noqa: ARG002
    ) -> Clock:
        """See `Backend`."""
        size = quick_onnx(network, batch_shape[1:]).ByteSize()
        return lambda: size / 1e3

    def prepare_file(
        self,
        path: Path,
        batch_shape: tuple[int, int, int, int],  # noqa: ARG002
        device: torch.device,  # noqa: ARG002
        threads: int,  # noqa: ARG002
    ) -> Clock:
        """See `Backend`."""
        size = path.stat().st_size
        return lambda: size / 1e3
