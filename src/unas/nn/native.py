"""The one kernel of our own: compiled by the machine's C compiler at its first use, where there is one.

oneDNN computes the weight gradient of depthwise convolutions many times slower than their forward
unless they are 3×3 without dilation (docs/benchmarks.md), and on a CPU it is most of a search step.
Without a compiler, or with UNAS_NATIVE=0 in the environment, PyTorch's own kernel is used.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

_FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")

Kernel = Callable[..., None]


class _Shape(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_long)
        for name in (
            "height", "width", "channels", "out_height", "out_width", "kernel", "stride", "dilation", "padding",
        )
    )  # fmt: skip


class Geometry(NamedTuple):
    """A depthwise convolution's filters: k×k, square in everything."""

    kernel: int
    stride: int
    dilation: int
    padding: int


def depthwise_weight_gradient(images: Tensor, gradient: Tensor, geometry: Geometry) -> Tensor:
    """Return the gradient [C, 1, k, k] of a depthwise convolution's weight.

    Args:
        images: [B, C, H, W] float32 on the CPU; C is a multiple of 4.
        gradient: of the outcome, [B, C, H', W'].
        geometry: of the convolution; the kernel is 3, 5 or 7.
    """
    run = depthwise_kernel()
    assert run is not None  # noqa: S101 - the caller has asked
    images, gradient = (
        tensor.contiguous(memory_format=torch.channels_last) for tensor in (images, gradient)
    )
    batch, channels, height, width = images.shape
    shape, kernel = _Shape(height, width, channels, *gradient.shape[2:], *geometry), geometry.kernel
    found = torch.empty(kernel, kernel, channels)
    # One thread: others would wait for cores that PyTorch's own threads keep spinning on after each
    # of its operations.
    run(
        *(ctypes.c_void_p(t.data_ptr()) for t in (images, gradient, found)),
        ctypes.byref(shape),
        ctypes.c_long(batch),
    )
    return found.permute(2, 0, 1).unsqueeze(1)


@cache
def depthwise_kernel() -> Kernel | None:
    """Return the compiled kernel, or None where it can't be had."""
    if os.environ.get("UNAS_NATIVE") == "0":
        return None
    try:
        library = ctypes.CDLL(str(_compiled()))
    except (OSError, subprocess.SubprocessError) as error:
        logging.getLogger("unas").info("no kernel of our own, PyTorch's is used: %s", error)
        return None
    kernel: Kernel = library.unas_depthwise_weight_gradient
    return kernel


def _compiled() -> Path:
    """Return the shared library, compiled for this processor and kept in the user's cache."""
    source = resources.files("unas.nn").joinpath("depthwise.c").read_bytes()
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise OSError("there is no C compiler")
    key = hashlib.sha256(
        b"\0".join((source, _processor(), *(flag.encode() for flag in _FLAGS)))
    ).hexdigest()[:16]
    cache_root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache_root / "unas" / f"depthwise-{key}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            (Path(folder) / "depthwise.c").write_bytes(source)
            command = [compiler, *_FLAGS, "-o", f"{folder}/kernel.so", f"{folder}/depthwise.c"]
            subprocess.run(command, check=True, capture_output=True, timeout=60)  # noqa: S603 - our own words
            os.replace(f"{folder}/kernel.so", path)
    return path


def _processor() -> bytes:
    """Return what tells processors with other instructions apart."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        return platform.processor().encode()
    return next(
        (line for line in lines if line.startswith((b"flags", b"Features"))),
        platform.machine().encode(),
    )
