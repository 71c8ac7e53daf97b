"""The kernels of our own, in C: compiled at their first use by the machine's compiler.

Without a compiler, or with UNAS_NATIVE=0 in the environment, PyTorch's own kernels are used.
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
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from unas.common.text import printable

_COMPILERS = ("cc", "gcc", "clang")
_FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")
_LIBRARIES = ("-lm",)
_COMPILE_SECONDS = 60
_OPENMP = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")


def is_wanted() -> bool:
    """Return whether what isn't PyTorch's own may be used."""
    return os.environ.get("UNAS_NATIVE") != "0"


@cache
def kernels_of(name: str, *macros: str) -> ctypes.CDLL | None:
    """Return a file of C of this package, compiled; None where that can't be had.

    Args:
        name: of the file, without its suffix.
        macros: those that are defined.
    """
    if not is_wanted():
        return None
    try:
        return ctypes.CDLL(str(_compiled(name, macros)))
    except (OSError, subprocess.SubprocessError) as error:
        log = logging.getLogger("unas.nn")
        log.info("no kernel of our own, PyTorch's is used: %s", printable(str(error)))
        return None


@cache
def openmp() -> tuple[ctypes.c_void_p, ...] | None:
    """Return what runs a function on the threads of PyTorch, as node.c wants it.

    They are the functions of the OpenMP library that PyTorch has loaded: threads of another library
    would wait for cores that PyTorch's own threads keep spinning on after each of its operations.
    None where PyTorch has another library.
    """
    for path in _loaded_libraries("omp"):
        try:
            runtime = ctypes.CDLL(path)
            functions = [getattr(runtime, name) for name in _OPENMP]
        except (OSError, AttributeError):
            continue
        return tuple(ctypes.cast(function, ctypes.c_void_p) for function in functions)
    return None


def _loaded_libraries(part_of_name: str) -> list[str]:
    """Return the shared libraries of this process whose names have a part."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    paths = {line.split(maxsplit=5)[-1] for line in lines if ".so" in line}
    return sorted(path for path in paths if part_of_name in os.path.basename(path))


def _compiled(name: str, macros: Sequence[str]) -> Path:
    """Return the shared library, compiled for this processor and kept in the user's cache."""
    source = resources.files("unas.nn").joinpath(f"{name}.c").read_bytes()
    compiler = _compiler()
    flags = (*_FLAGS, *(f"-D{macro}" for macro in macros))
    cache_root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    path = cache_root / "unas" / f"{name}-{_key(source, flags)}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _compile(compiler, flags, source, path)
    return path


def _compiler() -> str:
    for name in _COMPILERS:
        path = shutil.which(name)
        if path is not None:
            return path
    raise OSError("there is no C compiler")


def _compile(compiler: str, flags: Sequence[str], source: bytes, path: Path) -> None:
    # Processes that start together each compile, and whichever is last replaces a whole file.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        source_path = Path(folder) / "source.c"
        library_path = Path(folder) / "library.so"
        source_path.write_bytes(source)
        command = [compiler, *flags, "-o", str(library_path), str(source_path), *_LIBRARIES]
        subprocess.run(  # noqa: S603 - our own words
            command, check=True, capture_output=True, timeout=_COMPILE_SECONDS
        )
        os.replace(library_path, path)


def _key(source: bytes, flags: Sequence[str]) -> str:
    """Return what another source, other flags or another kind of processor would change."""
    texts = [source, _processor(), *(flag.encode() for flag in (*flags, *_LIBRARIES))]
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
