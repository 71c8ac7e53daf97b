"""What every latency backend is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Backend(ABC):
    """A way to run a network on one batch of images and to say how long it took.

    A backend is a frozen dataclass of its own options, so it is its own configuration.
    """

    @abstractmethod
    def prepare(
        self, network: nn.Module, batch_shape: tuple[int, int, int, int], device: torch.device, threads: int | None
    ) -> Callable[[], float]:
        """Return a function that runs the network once and returns the milliseconds from start to last result.

        Args:
            network: maps images to anything; it is left as it is.
            batch_shape: (B, C, H, W).
            device: where it runs.
            threads: how many CPU threads it may use, for a backend that has threads of its own; PyTorch's own
                number is already set. None: the backend's default.

        Raises:
            UserError: the backend can't use this device.
        """
