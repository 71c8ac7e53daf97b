"""Where a run computes and in which precision."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from unas.common.errors import UserError
from unas.compute.hardware import device_name
from unas.compute.ranks import Ranks
from unas.compute.seeds import step_seed
from unas.compute.threads import MAX_THREADS, torch_threads
from unas.compute.torchrun import local_rank, local_size, under_torchrun

Recompute = Literal["auto", "always", "never"]


@dataclass(frozen=True)
class RuntimeConfig:
    """Options of `Runtime`.

    Args:
        device: "auto" (CUDA, else MPS, else the CPU), "cpu", "cuda", "cuda:N" or "mps".
        precision: precision of matrix products and convolutions; "auto" is bfloat16 on CUDA devices
            that compute in it, float32 elsewhere.
        threads: CPU threads that search and train; 0 for as many as PyTorch takes. Latency is
            measured with as many as PyTorch takes.
        ranks_compared_every: steps between two comparisons of what all processes of a run have; 0
            for none.
        recompute: whether a search computes parts of its supernet again in the backward, instead
            of keeping what that needs: less memory, more time, the same numbers up to rounding.
            "auto": where a step would need more than is free; "always" or "never".
    """

    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: int = 0
    ranks_compared_every: int = 100
    recompute: Recompute = "auto"

    def build(self) -> Runtime:
        """Return the runtime.

        Raises:
            UserError: this machine has no such device, the device can't compute in bfloat16, or
                there are no such numbers of threads or steps.
        """
        if not 0 <= self.threads <= MAX_THREADS:
            raise UserError(f"threads is {self.threads}; it must be 0 to {MAX_THREADS}")
        if self.ranks_compared_every < 0:
            raise UserError(
                f"ranks_compared_every is {self.ranks_compared_every}; it must be 0 or more"
            )
        if self.recompute not in get_args(Recompute):
            known = " or ".join(get_args(Recompute))
            raise UserError(f"recompute is {self.recompute!r}; it must be {known}")
        device = find_device(_own_device(self.device))
        return Runtime(
            device,
            self._dtype(device),
            Ranks.current(),
            self.ranks_compared_every,
            self.threads or None,
            recomputes=self.recompute == "always",
        )

    def _dtype(self, device: torch.device) -> torch.dtype:
        if self.precision not in {"auto", "float32", "bfloat16"}:
            raise UserError(
                f"precision {self.precision!r} does not exist; use auto, float32 or bfloat16"
            )
        has_bfloat16 = device.type != "cuda" or _computes_in_bfloat16(device)
        if self.precision == "bfloat16" and not has_bfloat16:
            raise UserError(
                f"precision 'bfloat16': {device_name(device)} has none; use --precision float32"
            )
        is_faster = device.type == "cuda" and has_bfloat16
        if self.precision == "bfloat16" or (self.precision == "auto" and is_faster):
            return torch.bfloat16
        return torch.float32


@dataclass(frozen=True)
class Runtime:
    """A device, the precision of its matrix products, and the processes that compute together.

    Args:
        device: a torch device, with its index for CUDA.
        dtype: torch.float32 or torch.bfloat16.
        ranks: the processes.
        ranks_compared_every: steps between two comparisons of what all processes have; 0 for none.
        threads: CPU threads that compute; None for as many as PyTorch takes.
        recomputes: a search computes parts of its supernet again in the backward.
    """

    device: torch.device
    dtype: torch.dtype
    ranks: Ranks = Ranks()
    ranks_compared_every: int = 100
    threads: int | None = None
    recomputes: bool = False

    def computing(self) -> contextlib.AbstractContextManager[None]:
        """Return the context for steps and evaluations; in it PyTorch has `threads`."""
        return torch_threads(self.threads)

    def autocast(self) -> torch.autocast:
        """Return the context for forward passes; with float32 it changes nothing."""
        if self.dtype == torch.float32:
            return torch.autocast(self.device.type, enabled=False)
        return torch.autocast(self.device.type, dtype=self.dtype)

    @contextlib.contextmanager
    def tf32_allowed(self) -> Iterator[None]:
        """Let CUDA compute float32 matrix products in TF32 inside the block."""
        if self.device.type != "cuda":
            yield
            return
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)

    def compare_ranks(
        self, tensors: Callable[[], Mapping[str, Tensor]], phase: str, step: int
    ) -> None:
        """Compare tensors over all processes, if it is time to after `step` steps of a phase.

        Raises:
            UserError: names the first tensor that differs, and the rank.
        """
        every = self.ranks_compared_every
        if self.ranks.size > 1 and every and step % every == 0:
            self.ranks.require_equal(tensors(), f"after {phase} step {step}")

    def synchronise(self) -> None:
        """Wait until the device has finished, as a clock must."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()

    def describe(self) -> str:
        """Return one line for people: device, threads of a CPU, precision."""
        where = str(self.device)
        if self.device.type == "cpu":
            threads = self.threads or torch.get_num_threads()
            where += f", {threads} thread" if threads == 1 else f", {threads} threads"
        precision = str(self.dtype).removeprefix("torch.")
        return f"{device_name(self.device)} ({where}), {precision}"


def seed_step(seed: int, stream: str, step: int, rank: int = 0) -> None:
    """Seed torch's default generators (dropout, drop-path) for one step, on every device.

    A step's randomness is then a function of its number, so that a resumed run needs no generator
    state. Each rank has its own randomness.
    """
    # Rank 0 draws what a process alone draws.
    rank_stream = f"{stream}/rank{rank}" if rank else stream
    torch.manual_seed(step_seed(seed, rank_stream, step))


def _own_device(name: str) -> str:
    """Return the device of this process: under torchrun, each process of a machine has its own GPU.

    Raises:
        UserError: all processes of this machine would have the same GPU.
    """
    if not under_torchrun():
        return name
    if name == "cuda" or (name == "auto" and torch.cuda.is_available()):
        return f"cuda:{local_rank()}"
    if local_size() > 1 and re.fullmatch(r"cuda:\d+", name):
        raise UserError(
            f"device {name!r} would be that of every process; use --device cuda, one each"
        )
    return name


def find_device(name: str) -> torch.device:
    """Return the device called `name`, or the best one of this machine for "auto".

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        name = _best_device()
    if not re.fullmatch(r"cpu|mps|cuda(:\d{1,3})?", name):
        raise UserError(f"device {name!r} does not exist; use auto, cpu, cuda, cuda:N or mps")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError(
            "device 'mps': this machine or this build of PyTorch has no MPS; use --device auto"
        )
    if name in {"cpu", "mps"}:
        return torch.device(name)
    return _cuda_device(name)


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _cuda_device(name: str) -> torch.device:
    """Return a CUDA device with its index, which is 0 where the name has none."""
    if not torch.cuda.is_available():
        why = "no GPU or driver was found"
        if torch.version.cuda is None:
            why = "this build of PyTorch has no CUDA"
        raise UserError(
            f"device {name!r}: {why}; "
            "use --device cpu, or install a driver and a CUDA build of PyTorch"
        )
    device = torch.device("cuda:0" if name == "cuda" else name)
    count = torch.cuda.device_count()
    if device.index >= count:
        raise UserError(
            f"device {name!r}: this machine has {count} of them, cuda:0 to cuda:{count - 1}"
        )
    return device


def _computes_in_bfloat16(device: torch.device) -> bool:
    """Return whether the hardware does: AMD's devices, and NVIDIA's from Ampere (8.0) on."""
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= (8, 0)
