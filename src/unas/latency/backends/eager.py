"""PyTorch as it is, operation by operation."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from unas.latency.backends.base import Backend, Clock


@dataclass(frozen=True)
class EagerBackend(Backend):
    """PyTorch in evaluation mode without gradients; weights and images are channels last."""

    def prepare(
        self,
        network: nn.Module,
        batch_shape: tuple[int, int, int, int],
        device: torch.device,
        threads: int,  # noqa: ARG002  PyTorch's number of threads is the caller's
    ) -> Clock:
        """Return a function that runs the network once and returns its time in milliseconds."""
        copied = copy_to(device, network)
        return clock(copied, copied, batch_shape, device)


def copy_to(device: torch.device, network: nn.Module) -> nn.Module:
    """Return a copy of the network for evaluation on a device, channels last."""
    copied: nn.Module = copy.deepcopy(network).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return copied.eval()


def clock(
    run: Callable[[Tensor], Any],
    network: nn.Module,
    batch_shape: tuple[int, int, int, int],
    device: torch.device,
) -> Clock:
    """Return a function that runs a network once and returns its milliseconds.

    Args:
        run: the network, or what runs it.
        network: says what its images are made of.
        batch_shape: (B, C, H, W).
        device: where it runs.
    """
    parameter = next(network.parameters(), None)
    dtype = torch.float32 if parameter is None else parameter.dtype
    images = torch.zeros(batch_shape, device=device, dtype=dtype)
    images = images.contiguous(memory_format=torch.channels_last)
    clocked = _clock_cuda if device.type == "cuda" else _clock_cpu
    return lambda: clocked(run, images)


@torch.inference_mode()
def _clock_cpu(run: Callable[[Tensor], Any], images: Tensor) -> float:
    start = time.perf_counter()
    run(images)
    return 1e3 * (time.perf_counter() - start)


@torch.inference_mode()
def _clock_cuda(run: Callable[[Tensor], Any], images: Tensor) -> float:
    with torch.cuda.device(images.device):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()  # what was queued before is not ours to count
        start.record()
        run(images)
        end.record()
        end.synchronize()
    return cast("float", start.elapsed_time(end))
