"""PyTorch's compiler: fused kernels made for the machine it runs on."""

from __future__ import annotations

import os
import shutil
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unas.common.errors import UserError, kind_and_line
from unas.latency.backends.base import Backend, Clock
from unas.latency.backends.eager import clock, copy_to


@dataclass(frozen=True)
class CompiledBackend(Backend):
    """The network through `torch.compile`, in evaluation mode without gradients, channels last."""

    def prepare(
        self,
        network: nn.Module,
        batch_shape: tuple[int, int, int, int],
        device: torch.device,
        threads: int,  # noqa: ARG002  PyTorch's number of threads is the caller's
    ) -> Clock:
        """Return a function that runs the compiled network once and returns its milliseconds.

        Raises:
            UserError: there is no C++ compiler, or the network can't be compiled.
        """
        copied = copy_to(device, network)
        _require_compiler()
        run = clock(
            torch.compile(_own_function(copied), dynamic=False), copied, batch_shape, device
        )
        try:
            run()
        except Exception as error:  # compilers fail in many ways
            raise UserError(
                f"backend compiled: {kind_and_line(error)}; use --backend eager or onnxruntime"
            ) from error
        return run


def _own_function(network: nn.Module) -> Callable[[Tensor], Any]:
    """Return a function of its own code object that runs the network.

    PyTorch keeps what it compiled by code object, at most 8 each, and silently runs more of them
    uncompiled: networks of one class would share theirs.
    """

    def run(images: Tensor) -> Any:
        return network(images)

    return types.FunctionType(
        run.__code__.replace(), run.__globals__, run.__name__, None, run.__closure__
    )


def _require_compiler() -> None:
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        raise UserError(
            f"backend compiled: there is no C++ compiler {compiler!r}; "
            "install one or set CXX, or use --backend eager"
        )
