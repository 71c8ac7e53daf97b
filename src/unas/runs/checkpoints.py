"""Checkpoints: written whole or not at all, and read without trusting them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unas.common.errors import UserError, kind_and_line
from unas.common.files import make_directory, remove_leftovers, write_bytes
from unas.common.text import readable_size
from unas.compute.adam import laid_out_like
from unas.compute.finite import all_finite

KEPT = 2
MAX_BYTES = 16 * 2**30
_NAME = re.compile(r"(\d{6,})-([a-z_]+)-(\d+)\.ckpt")
_MAGIC = b"unas checkpoint 1"
_HEADER_BYTES = len(_MAGIC) + 1 + 64 + 1 + 20 + 1
_PLAIN = (str, int, float, bool, type(None))
_GO_BACK = "remove it to go on from the one before"
_log = logging.getLogger("unas.runs")


class DamagedError(UserError):
    """A file is proven not to be what was saved under its name."""


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after `step` steps of `phase`.

    Args:
        phase: the phase that was running, for example "search".
        step: how many of its steps are in the state.
        state: what `save` was given, tensors on the CPU.
        path: the file it came from.
    """

    phase: str
    step: int
    state: dict[str, Any]
    path: Path


class Checkpoints:
    """The checkpoints of one run, in one directory.

    A file is a header, which is one line with the SHA-256 and the length of the rest, and then what
    `torch.save` writes. Files are numbered in the order they were saved, so that no clock decides
    which is the newest.

    Args:
        directory: where they are; made by the first `save`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._damaged: set[Path] = set()

    def paths(self) -> list[Path]:
        """Return the files, oldest first."""
        paths = [path for path in self._directory.glob("*.ckpt") if _NAME.fullmatch(path.name)]
        return sorted(paths, key=_number_of)

    def save(self, phase: str, step: int, state: Mapping[str, Any]) -> Path:
        """Write a checkpoint durably, then remove all but the newest two that aren't damaged.

        Args:
            phase: lower-case name of the phase.
            step: steps of the phase that are in the state.
            state: dicts, lists and tuples of tensors, numbers, strings and None.

        Raises:
            UserError: the disk is full (earlier checkpoints are kept) or can't be written.
            TypeError: the state holds something that can't be loaded safely.
        """
        require_plain(state, "state")
        buffer = io.BytesIO()
        torch.save({"phase": phase, "step": step, "state": dict(state)}, buffer)
        make_directory(self._directory)
        remove_leftovers(self._directory)
        earlier = self.paths()
        number = 1
        if earlier:
            number += _number_of(earlier[-1])
        path = self._directory / f"{number:06d}-{phase}-{step}.ckpt"
        payload = buffer.getbuffer()
        if len(payload) > MAX_BYTES:
            size = readable_size(len(payload))
            raise UserError(f"{path}: the state has {size}; {readable_size(MAX_BYTES)} are read")
        write_bytes(path, _header(payload), payload)
        sound = [old for old in earlier if old not in self._damaged]
        kept = sound[1 - KEPT :]  # beside the one that was just written
        for old in earlier:
            if old not in kept:
                with contextlib.suppress(OSError):
                    old.unlink()
        return path

    def load_newest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is whole, or None.

        A damaged one is passed over, and named in a warning.

        Raises:
            UserError: a checkpoint can't be read now, or isn't of this version. It may be good, so
                it is not passed over.
        """
        for path in reversed(self.paths()):
            try:
                return read_checkpoint(path)
            except DamagedError as error:
                self._damaged.add(path)
                _log.warning("%s; it is passed over for the one before", error)
        if self._damaged:
            message = "%s: no whole checkpoint is left; starting at the beginning"
            _log.warning(message, self._directory)
        return None

    def newest_finite(self) -> Path | None:
        """Return the newest checkpoint that is whole and has finite numbers alone, or None."""
        for path in reversed(self.paths()):
            with contextlib.suppress(UserError):
                if all_finite(read_checkpoint(path).state):
                    return path
        return None


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and check one checkpoint; no code in it is run.

    Raises:
        DamagedError: its checksum is wrong, or it is no plain file.
        UserError: it can't be read, or is no checkpoint of this version.
    """
    payload = _payload(path)
    try:
        _require_uncompressed(payload)
        saved = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        step = whole(int(saved["step"]))
        return Checkpoint(str(saved["phase"]), step, dict(saved["state"]), path)
    except MemoryError:
        raise
    except Exception as error:  # what torch.load raises for foreign content is not documented
        kind = type(error).__name__
        fix = f"use the version of PyTorch that it was saved with, or {_GO_BACK}"
        raise UserError(f"{path} is not a checkpoint that unas wrote ({kind}); {fix}") from error


def require_plain(value: Any, name: str) -> None:
    """Refuse what `torch.load(weights_only=True)` may not load again, before it is too late.

    Raises:
        TypeError: names the entry and its type.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            require_plain(key, f"{name} key {key!r}")
            require_plain(item, f"{name}[{key!r}]")
    elif type(value) in {list, tuple}:
        for index, item in enumerate(value):
            require_plain(item, f"{name}[{index}]")
    elif type(value) not in _PLAIN and not isinstance(value, Tensor):
        raise TypeError(f"{name} is a {type(value).__qualname__}, which a checkpoint can't hold")


def _number_of(path: Path) -> int:
    return int(path.name.partition("-")[0])


def _payload(path: Path) -> memoryview:
    """Return what follows the header of a file, checked: it is plain, whole and not too large."""
    try:
        if not path.is_file() or path.is_symlink():  # a pipe would be waited on forever
            raise DamagedError(f"{path} is not a plain file")
        if path.stat().st_size > _HEADER_BYTES + MAX_BYTES:
            raise DamagedError(
                f"{path} is larger than {readable_size(MAX_BYTES)}; unas writes no such checkpoint"
            )
        content = memoryview(path.read_bytes())
    except OSError as error:
        fix = f"go on with --resume when it can, or {_GO_BACK}"
        raise UserError(f"{path} can't be read: {error.strerror}; {fix}") from error
    payload = content[_HEADER_BYTES:]
    if bytes(content[:_HEADER_BYTES]) != _header(payload):
        raise DamagedError(f"{path} is damaged: its checksum is wrong")
    return payload


def _require_uncompressed(payload: memoryview) -> None:
    """Refuse what would be unpacked to more than the file has: torch.save compresses nothing."""
    with zipfile.ZipFile(io.BytesIO(payload)) as archive:
        entries = archive.infolist()
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > len(payload) or any(entry.compress_type for entry in entries):
        raise ValueError("compressed")


def _header(payload: memoryview) -> bytes:
    digest = hashlib.sha256(payload).hexdigest().encode()
    return b"%s %s %020d\n" % (_MAGIC, digest, len(payload))


def load_into(optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Load what an optimiser remembers of each parameter; its rates stay as they are.

    Raises:
        ValueError: something isn't of the parameter's shape: it is another optimiser's.
    """
    parameters: list[Tensor] = []
    for group in optimiser.param_groups:
        parameters += group["params"]
    loaded: dict[int, dict[str, Any]] = {}
    for index, remembered in state["state"].items():
        loaded[index] = dict(remembered)
        for name, value in remembered.items():
            if not isinstance(value, Tensor):
                continue
            shape = torch.Size() if name == "step" else parameters[index].shape
            if value.shape != shape:
                raise ValueError(f"parameter {index} has shape {list(parameters[index].shape)}")
            if name != "step":
                loaded[index][name] = laid_out_like(value, parameters[index])
    optimiser.load_state_dict({**optimiser.state_dict(), "state": loaded})


def whole(value: Any) -> int:
    """Return a value of a state that must be a number of steps.

    Raises:
        ValueError: it is something else.
    """
    if type(value) is not int or value < 0:
        raise ValueError("a number of steps")
    return value


@contextlib.contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Load the state of the checkpoint at `path` in the block.

    Raises:
        UserError: the state is of another network, or not what unas writes.
    """
    try:
        yield
    except (UserError, torch.OutOfMemoryError):  # says nothing about the checkpoint
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        why = kind_and_line(error)
        raise UserError(f"{path} doesn't fit this run ({why}); {_GO_BACK}") from error
