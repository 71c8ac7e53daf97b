"""Where a run computes and in which precision."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from unas.common.errors import UserError
from unas.compute.hardware import device_name
from unas.compute.ranks import Ranks
from unas.compute.seeds import step_seed
from unas.compute.torchrun import local_rank, under_torchrun


@dataclass(frozen=True)
class RuntimeConfig:
    """Options of `Runtime`.

    Args:
        device: "auto" (CUDA, else MPS, else the CPU), "cpu", "cuda", "cuda:N" or "mps".
        precision: of matrix products and convolutions; "auto" is bfloat16 on CUDA devices that
            compute in it, float32 elsewhere.
        ranks_compared_every: steps between two comparisons of what all processes of a run have; 0:
            never.
    """

    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    ranks_compared_every: int = 100

    def build(self) -> Runtime:
        """Return the runtime.

        Raises:
            UserError: this machine has no such device, or the device can't compute in bfloat16.
        """
        if self.ranks_compared_every < 0:
            raise UserError(
                f"ranks_compared_every is {self.ranks_compared_every}; it must be 0 or more"
            )
        device = find_device(_own_device(self.device))
        has_bfloat16 = device.type != "cuda" or _computes_in_bfloat16(device)
        if self.precision == "bfloat16" and not has_bfloat16:
            raise UserError(
                f"precision 'bfloat16': {device_name(device)} has none; use --precision float32"
            )
        if self.precision not in {"auto", "float32", "bfloat16"}:
            raise UserError(
                f"precision {self.precision!r} does not exist; use auto, float32 or bfloat16"
            )
        wanted = self.precision == "bfloat16" or (
            self.precision == "auto" and device.type == "cuda"
        )
        dtype = torch.bfloat16 if wanted and has_bfloat16 else torch.float32
        return Runtime(device, dtype, Ranks.current(), self.ranks_compared_every)


@dataclass(frozen=True)
class Runtime:
    """A device, the precision of its matrix products, and the processes that compute together.

    Args:
        device: a torch device, with its index for CUDA.
        dtype: torch.float32 or torch.bfloat16.
        ranks: the processes.
        ranks_compared_every: steps between two comparisons of what they have; 0: never.
    """

    device: torch.device
    dtype: torch.dtype
    ranks: Ranks = Ranks()
    ranks_compared_every: int = 100

    def autocast(self) -> torch.autocast:
        """Return the context for forward passes; it changes nothing when the precision is float32."""
        enabled = self.dtype != torch.float32
        return torch.autocast(
            self.device.type, dtype=self.dtype if enabled else None, enabled=enabled
        )

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

    def compare_ranks(self, tensors: Mapping[str, Tensor], phase: str, step: int) -> None:
        """Compare these tensors over all processes if it is time to, after `step` steps of a phase.

        Raises:
            UserError: names the first that differs, and the rank.
        """
        if self.ranks_compared_every and step % self.ranks_compared_every == 0:
            self.ranks.require_equal(tensors, f"after {phase} step {step}")

    def synchronise(self) -> None:
        """Wait until the device has finished, as a clock must."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def describe(self) -> str:
        """Return one line for people: device, threads of a CPU, precision."""
        count = torch.get_num_threads()
        threads = f", {count} thread{'s' * (count > 1)}" if self.device.type == "cpu" else ""
        return f"{device_name(self.device)} ({self.device}{threads}), {str(self.dtype).removeprefix('torch.')}"


def seed_step(seed: int, stream: str, step: int, rank: int = 0) -> None:
    """Seed torch's default generators (dropout, drop-path) for one step, on every device.

    A step's randomness is then a function of its number, so that a resumed run needs no generator
    state. Each rank has its own.
    """
    torch.manual_seed(step_seed(seed, f"{stream}/rank{rank}" if rank else stream, step))


def _own_device(name: str) -> str:
    """Return the device of this one of several processes on a machine: each has a GPU of its own.

    Raises:
        UserError: they would all have the same.
    """
    if not under_torchrun() or not (
        name == "cuda" or (name == "auto" and torch.cuda.is_available())
    ):
        shared = (
            re.fullmatch(r"cuda:\d+", name) and int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1
        )
        if shared and under_torchrun():
            raise UserError(
                f"device {name!r} would be that of every process; use --device cuda, one each"
            )
        return name
    return f"cuda:{local_rank()}"


def find_device(name: str) -> torch.device:
    """Return the device called `name`, or the best one of this machine for "auto".

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        name = (
            "cuda"
            if torch.cuda.is_available()
            else "mps"
            if torch.backends.mps.is_available()
            else "cpu"
        )
    if not re.fullmatch(r"cpu|mps|cuda(:\d{1,3})?", name):
        raise UserError(f"device {name!r} does not exist; use auto, cpu, cuda, cuda:N or mps")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError(
            "device 'mps': this machine or this build of PyTorch has no MPS; use --device auto"
        )
    if not name.startswith("cuda"):
        return torch.device(name)
    if not torch.cuda.is_available():
        why = (
            "this build of PyTorch has no CUDA"
            if torch.version.cuda is None
            else "no GPU or driver was found"
        )
        raise UserError(
            f"device {name!r}: {why}; use --device cpu, or install a driver and a CUDA build of PyTorch"
        )
    device = torch.device(name if ":" in name else "cuda:0")
    count = torch.cuda.device_count()
    if device.index >= count:
        raise UserError(
            f"device {name!r}: this machine has {count} of them, cuda:0 to cuda:{count - 1}"
        )
    return device


def _computes_in_bfloat16(device: torch.device) -> bool:
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
