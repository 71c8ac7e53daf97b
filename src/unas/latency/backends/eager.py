"""PyTorch as it is, operation by operation."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from unas.errors import UserError
from unas.latency.backends.base import Backend


@dataclass(frozen=True)
class EagerBackend(Backend):
    """PyTorch in evaluation mode without gradients: channels-last weights and images, as in training."""

    def prepare(
        self,
        network: nn.Module,
        batch_shape: tuple[int, int, int, int],
        device: torch.device,
        threads: int | None,  # noqa: ARG002  PyTorch's number of threads is the caller's
    ) -> Callable[[], float]:
        """Return a function that runs the network once and returns its time in milliseconds.

        Raises:
            UserError: the device is neither a CPU nor a CUDA GPU.
        """
        if device.type not in {"cpu", "cuda"}:
            raise UserError(f"device is {device}; the eager backend measures on cpu and cuda")
        copied = copy.deepcopy(network).to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        dtype = next((p.dtype for p in copied.parameters()), torch.float32)
        images = torch.zeros(batch_shape, device=device, dtype=dtype)
        images = images.contiguous(memory_format=torch.channels_last)
        clock = _clock_cuda if device.type == "cuda" else _clock_cpu
        return lambda: clock(copied, images)


@torch.inference_mode()
def _clock_cpu(network: nn.Module, images: Tensor) -> float:
    start = time.perf_counter()
    network(images)
    return 1e3 * (time.perf_counter() - start)


@torch.inference_mode()
def _clock_cuda(network: nn.Module, images: Tensor) -> float:
    with torch.cuda.device(images.device):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()  # what was queued before is not ours to count
        start.record()
        network(images)
        end.record()
        end.synchronize()
    return cast("float", start.elapsed_time(end))
