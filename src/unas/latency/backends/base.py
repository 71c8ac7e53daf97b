"""What every latency backend is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from unas.common.errors import UserError

Clock = Callable[[], float]


@dataclass(frozen=True)
class Backend(ABC):
    """A way to run a network on one batch of images and to say how long it took.

    A backend is a frozen dataclass of its own options, so it is its own configuration.

    Attributes:
        is_remote: the network runs on another machine than this one.
    """

    is_remote: ClassVar[bool] = False

    @abstractmethod
    def prepare(
        self,
        network: nn.Module,
        batch_shape: tuple[int, int, int, int],
        device: torch.device,
        threads: int,
    ) -> Clock:
        """Return a function that runs the network once and returns the milliseconds from start to last result.

        Args:
            network: maps images to anything; it is left as it is.
            batch_shape: (B, C, H, W).
            device: where it runs.
            threads: how many CPU threads it may use; PyTorch's own number is already set.

        Raises:
            UserError: the backend can't use this device.
        """

    def prepare_file(
        self,
        path: Path,  # noqa: ARG002  of those that can
        batch_shape: tuple[int, int, int, int],  # noqa: ARG002
        device: torch.device,  # noqa: ARG002
        threads: int,  # noqa: ARG002
    ) -> Clock:
        """Do what `prepare` does for an ONNX file, if the backend runs ONNX files.

        Raises:
            UserError: it doesn't, or it can't open this one.
        """
        name = type(self).__module__.rpartition(".")[2]
        raise UserError(
            f"backend {name} can't run an ONNX file; use onnxruntime or command, or measure a genotype"
        )

    def version(self) -> str:
        """Return the version of what runs the network: PyTorch's, unless it is something else."""
        return str(torch.__version__)
