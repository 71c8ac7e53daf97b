"""ONNX Runtime on the CPU: how the exported file runs elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from unas.errors import UserError
from unas.latency.backends.base import Backend
from unas.onnx_conversion import INPUT, OUTPUT, open_session, to_onnx

if TYPE_CHECKING:
    import onnxruntime


@dataclass(frozen=True)
class OnnxRuntimeBackend(Backend):
    """The network exported to ONNX and run by ONNX Runtime's CPU provider."""

    def prepare(
        self, network: nn.Module, batch_shape: tuple[int, int, int, int], device: torch.device, threads: int | None
    ) -> Callable[[], float]:
        """Return a function that runs the exported network once and returns its time in milliseconds.

        Raises:
            UserError: the device is not a CPU.
        """
        if device.type != "cpu":
            raise UserError(f"device is {device}; the onnxruntime backend measures on cpu")
        _, channels, height, width = batch_shape
        model = to_onnx(network, (channels, height, width))
        return clock(open_session(model.SerializeToString(), threads), batch_shape)


def clock(session: onnxruntime.InferenceSession, batch_shape: tuple[int, int, int, int]) -> Callable[[], float]:
    """Return a function that runs an open model once and returns its time in milliseconds."""
    inputs = {INPUT: torch.zeros(batch_shape).numpy()}

    def run() -> float:
        start = time.perf_counter()
        session.run([OUTPUT], inputs)
        return 1e3 * (time.perf_counter() - start)

    return run
