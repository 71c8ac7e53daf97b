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
        devices: the kinds of this machine's devices that it can run a network on; none if it runs
            it where it likes.
        is_remote: the network runs on another machine than this one.
        chooses_batch: it runs as many images at once as it is asked to.
        runs_files: it runs ONNX files, so that it can judge what a run delivers.
        runs_foreign_code: it runs what the user names, so that a file may not ask for it.
    """

    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    is_remote: ClassVar[bool] = False
    chooses_batch: ClassVar[bool] = True
    runs_files: ClassVar[bool] = False
    runs_foreign_code: ClassVar[bool] = False

    @abstractmethod
    def prepare(
        self,
        network: nn.Module,
        batch_shape: tuple[int, int, int, int],
        device: torch.device,
        threads: int,
    ) -> Clock:
        """Return a function that runs the network once and returns the milliseconds it took.

        Args:
            network: maps images to anything; it is left as it is.
            batch_shape: (B, C, H, W).
            device: where it runs, one of `devices` if there are any.
            threads: how many CPU threads it may use; PyTorch's own number is already set.

        Raises:
            UserError: the network can't be run.
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
        raise UserError(
            f"backend {self.word} can't run an ONNX file; "
            "use onnxruntime or command, or measure a genotype"
        )

    def device_for(self, device: str) -> str:
        """Return where the backend runs a network of a run on `device`: there, or on the CPU."""
        return device if torch.device(device).type in self.devices else "cpu"

    def require_device(self, device: torch.device) -> None:
        """Refuse a device that the backend can't run a network on.

        Raises:
            UserError: it is none of `devices`.
        """
        if self.devices and device.type not in self.devices:
            raise UserError(
                f"device is {device}; the {self.word} backend measures on "
                f"{' and '.join(self.devices)}"
            )

    @property
    def word(self) -> str:
        """What messages call the backend."""
        return type(self).__module__.rpartition(".")[2]

    def version(self) -> str:
        """Return the version of what runs the network: PyTorch's, unless it is something else."""
        return str(torch.__version__)
