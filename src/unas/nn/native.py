"""The one kernel of our own, in C: compiled at its first use by the machine's compiler.

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

from unas.common.text import printable

_COMPILERS = ("cc", "gcc", "clang")
_FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")
_COMPILE_SECONDS = 60

Kernel = Callable[..., None]


class _Shape(ctypes.Structure):
    """`struct shape` of depthwise.c."""

    _fields_ = (
        ("height", ctypes.c_long),
        ("width", ctypes.c_long),
        ("channels", ctypes.c_long),
        ("out_height", ctypes.c_long),
        ("out_width", ctypes.c_long),
        ("kernel", ctypes.c_long),
        ("stride", ctypes.c_long),
        ("dilation", ctypes.c_long),
        ("padding", ctypes.c_long),
    )


class Geometry(NamedTuple):
    """A depthwise convolution's filters, the same in both directions.

    Args:
        kernel: k of k×k.
        stride: pixels from one place of the filter to the next.
        dilation: pixels from one element of the filter to the next.
        padding: pixels of zeros on each side of the images.
    """

    kernel: int
    stride: int
    dilation: int
    padding: int


def depthwise_weight_gradient(images: Tensor, gradient: Tensor, geometry: Geometry) -> Tensor:
    """Return the gradient [C, 1, k, k] of a depthwise convolution's weight.

    Args:
        images: [B, C, H, W] float32 on the CPU; C is a multiple of 4.
        gradient: the loss's gradient in the convolution's outcome, [B, C, H', W'].
        geometry: the convolution's; its kernel is 3, 5 or 7.
    """
    run = depthwise_kernel()
    assert run is not None  # noqa: S101 - the caller has asked
    images = images.contiguous(memory_format=torch.channels_last)
    gradient = gradient.contiguous(memory_format=torch.channels_last)
    batch, channels, height, width = images.shape
    shape = _Shape(height, width, channels, *gradient.shape[2:], *geometry)
    weight_gradient = torch.empty(geometry.kernel, geometry.kernel, channels)
    # One thread: others would wait for cores that PyTorch's own threads keep spinning on after each
    # of its operations.
    run(
        ctypes.c_void_p(images.data_ptr()),
        ctypes.c_void_p(gradient.data_ptr()),
        ctypes.c_void_p(weight_gradient.data_ptr()),
        ctypes.byref(shape),
        ctypes.c_long(batch),
    )
    return weight_gradient.permute(2, 0, 1).unsqueeze(1)


@cache
def depthwise_kernel() -> Kernel | None:
    """Return the compiled kernel, or None where it can't be had."""
    if os.environ.get("UNAS_NATIVE") == "0":
        return None
    try:
        library = ctypes.CDLL(str(_compiled()))
    except (OSError, subprocess.SubprocessError) as error:
        log = logging.getLogger("unas.nn")
        log.info("no kernel of our own, PyTorch's is used: %s", printable(str(error)))
        return None
    kernel: Kernel = library.unas_depthwise_weight_gradient
    return kernel


def _compiled() -> Path:
    """Return the shared library, compiled for this processor and kept in the user's cache."""
    source = resources.files("unas.nn").joinpath("depthwise.c").read_bytes()
    compiler = _compiler()
    cache_root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache_root / "unas" / f"depthwise-{_key(source)}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _compile(compiler, source, path)
    return path


def _compiler() -> str:
    for name in _COMPILERS:
        path = shutil.which(name)
        if path is not None:
            return path
    raise OSError("there is no C compiler")


def _compile(compiler: str, source: bytes, path: Path) -> None:
    # Processes that start together each compile, and whichever is last replaces a whole file.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        source_path = Path(folder) / "depthwise.c"
        library_path = Path(folder) / "kernel.so"
        source_path.write_bytes(source)
        command = [compiler, *_FLAGS, "-o", str(library_path), str(source_path)]
        subprocess.run(  # noqa: S603 - our own words
            command, check=True, capture_output=True, timeout=_COMPILE_SECONDS
        )
        os.replace(library_path, path)


def _key(source: bytes) -> str:
    """Return what another source, other flags or another kind of processor would change."""
    texts = [source, _processor(), *(flag.encode() for flag in _FLAGS)]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


def _processor() -> bytes:
    """Return what tells processors with other instructions apart."""
    try:
        lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    except OSError:
        return platform.processor().encode()
    for line in lines:
        if line.startswith((b"flags", b"Features")):
            return line
    return platform.machine().encode()
