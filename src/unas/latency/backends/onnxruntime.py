"""ONNX Runtime on the CPU: how the exported file runs elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from unas.common.errors import UserError, first_line
from unas.graphs.onnx import blank_input, open_session
from unas.graphs.quick_onnx import quick_onnx
from unas.latency.backends.base import Backend, Clock

if TYPE_CHECKING:
    import onnxruntime


@dataclass(frozen=True)
class OnnxRuntimeBackend(Backend):
    """The network exported to ONNX and run by ONNX Runtime's CPU provider."""

    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    runs_files: ClassVar[bool] = True

    def prepare(
        self,
        network: nn.Module,
        batch_shape: tuple[int, int, int, int],
        device: torch.device,  # noqa: ARG002  always the CPU
        threads: int,
    ) -> Clock:
        """Return a function that runs the exported network once and returns its milliseconds."""
        _, channels, height, width = batch_shape
        model = quick_onnx(network, (channels, height, width))
        return clock(open_session(model.SerializeToString(), threads), batch_shape)

    def prepare_file(
        self,
        path: Path,
        batch_shape: tuple[int, int, int, int],
        device: torch.device,  # noqa: ARG002  always the CPU
        threads: int,
    ) -> Clock:
        """Return a function that runs an ONNX file once and returns its time in milliseconds.

        Raises:
            UserError: the file can't be opened, or takes other images.
        """
        try:
            run = clock(open_session(path, threads), batch_shape)
            run()
        except UserError as error:
            raise UserError(f"{path} can't be measured: {error}") from error
        except Exception as error:  # ONNX Runtime's errors share no public base class
            raise UserError(f"{path} can't be run by ONNX Runtime: {first_line(error)}") from error
        return run

    def version(self) -> str:
        """Return the version of ONNX Runtime."""
        import onnxruntime

        return str(onnxruntime.__version__)


def clock(session: onnxruntime.InferenceSession, batch_shape: tuple[int, int, int, int]) -> Clock:
    """Return a function that runs an open model once and returns its time in milliseconds.

    Raises:
        UserError: the model takes another number of images, or a type that can't be made here.
    """
    inputs = blank_input(session, batch_shape)

    def run() -> float:
        start = time.perf_counter()
        session.run(None, inputs)
        return 1e3 * (time.perf_counter() - start)

    return run
