"""Where a run computes and in which precision."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.distributed as dist

from unas.errors import UserError
from unas.seeds import step_seed


@dataclass(frozen=True)
class RuntimeConfig:
    """Options of `Runtime`.

    Args:
        device: "auto" (CUDA, else MPS, else the CPU), "cpu", "cuda", "cuda:N" or "mps".
        precision: of matrix products and convolutions; "auto" is bfloat16 on CUDA devices that compute in it,
            float32 elsewhere.
    """

    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    def build(self) -> Runtime:
        """Return the runtime.

        Raises:
            UserError: this machine has no such device, or the device can't compute in bfloat16.
        """
        device = find_device(self.device)
        has_bfloat16 = device.type != "cuda" or _computes_in_bfloat16(device)
        if self.precision == "bfloat16" and not has_bfloat16:
            raise UserError(f"precision 'bfloat16': {device_name(device)} has none; use --precision float32")
        if self.precision not in {"auto", "float32", "bfloat16"}:
            raise UserError(f"precision {self.precision!r} does not exist; use auto, float32 or bfloat16")
        wanted = self.precision == "bfloat16" or (self.precision == "auto" and device.type == "cuda")
        return Runtime(device, torch.bfloat16 if wanted and has_bfloat16 else torch.float32)


@dataclass(frozen=True)
class Runtime:
    """A device and the precision of its matrix products.

    Args:
        device: a torch device, with its index for CUDA.
        dtype: torch.float32 or torch.bfloat16.
    """

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> torch.autocast:
        """Return the context for forward passes; it changes nothing when the precision is float32."""
        enabled = self.dtype != torch.float32
        return torch.autocast(self.device.type, dtype=self.dtype if enabled else None, enabled=enabled)

    @contextlib.contextmanager
    def tf32_allowed(self) -> Iterator[None]:
        """Let CUDA compute float32 matrix products in TF32 inside the block; do nothing on other devices."""
        before = torch.get_float32_matmul_precision()
        if self.device.type == "cuda":
            torch.set_float32_matmul_precision("high")
        try:
            yield
        finally:
            if self.device.type == "cuda":
                torch.set_float32_matmul_precision(before)

    @property
    def rank(self) -> int:
        """The number of this process among all of the run, from 0."""
        return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0

    @property
    def world_size(self) -> int:
        """The number of processes of the run."""
        return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1

    def synchronise(self) -> None:
        """Wait until the device has finished, as a clock must."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def describe(self) -> str:
        """Return one line for people: device, threads of a CPU, precision."""
        threads = f", {torch.get_num_threads()} threads" if self.device.type == "cpu" else ""
        return f"{device_name(self.device)} ({self.device}{threads}), {str(self.dtype).removeprefix('torch.')}"


def seed_step(seed: int, stream: str, step: int) -> None:
    """Seed torch's default generators (dropout, drop-path) for one step, on every device.

    A step's randomness is then a function of its number, so that a resumed run needs no generator state.
    """
    torch.manual_seed(step_seed(seed, stream, step))


def find_device(name: str) -> torch.device:
    """Return the device called `name`, or the best one of this machine for "auto".

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if not re.fullmatch(r"cpu|mps|cuda(:\d{1,3})?", name):
        raise UserError(f"device {name!r} does not exist; use auto, cpu, cuda, cuda:N or mps")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError("device 'mps': this machine or this build of PyTorch has no MPS; use --device auto")
    if not name.startswith("cuda"):
        return torch.device(name)
    if not torch.cuda.is_available():
        why = "this build of PyTorch has no CUDA" if torch.version.cuda is None else "no GPU or driver was found"
        raise UserError(f"device {name!r}: {why}; use --device cpu, or install a driver and a CUDA build of PyTorch")
    device = torch.device(name if ":" in name else "cuda:0")
    count = torch.cuda.device_count()
    if device.index >= count:
        raise UserError(f"device {name!r}: this machine has {count} of them, cuda:0 to cuda:{count - 1}")
    return device


def device_name(device: torch.device) -> str:
    """Return the model of a device, for example "NVIDIA H100"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def cpu_name() -> str:
    """Return the model of this machine's processor."""
    with contextlib.suppress(OSError):
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        if match:
            return match[1].strip()
    return platform.processor() or platform.machine()


def cpu_count() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _computes_in_bfloat16(device: torch.device) -> bool:
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
