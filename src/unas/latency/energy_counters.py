"""Counters of the energy that a processor has used, read from the driver or the kernel."""

from __future__ import annotations

import importlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from unas.common.errors import UserError

POWERCAP = Path("/sys/class/powercap")


class EnergyCounter(ABC):
    """A counter of energy. It only grows, but begins again at 0 when it is full.

    Attributes:
        name: what it counts, for people.
    """

    name: str

    @abstractmethod
    def between(self, before: Any, after: Any) -> float:
        """Return the millijoules between two states that `now` returned."""

    @abstractmethod
    def now(self) -> Any:
        """Return the state of the counter."""

    @abstractmethod
    def wait_for_update(self) -> None:
        """Wait until the counter has just changed, so that a window begins on a tick."""


class RaplCounter(EnergyCounter):
    """RAPL, as the Linux kernel shows it: all packages of the CPU, whatever runs on them.

    Args:
        root: the directory of the power zones.

    Raises:
        UserError: there is no such zone, or this user can't read it.
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        # The zones of AMD's processors are called intel-rapl too.
        self._zones = sorted(zone for zone in root.glob("intel-rapl:*") if _is_package(zone))
        if not self._zones:
            raise UserError(
                f"energy: {root} has no intel-rapl zone of a package, so the kernel counts no "
                "energy here; use a machine that shows RAPL (most virtual machines don't) or an "
                "NVIDIA GPU"
            )
        self._full = [_microjoules(zone / "max_energy_range_uj") for zone in self._zones]
        self.now()  # a zone that can't be read must be told before anything is measured
        packages = "package" if len(self._zones) == 1 else "packages"
        self.name = f"RAPL, {len(self._zones)} CPU {packages}"

    def now(self) -> list[int]:
        """Return the microjoules of each package."""
        return [_microjoules(zone / "energy_uj") for zone in self._zones]

    def between(self, before: list[int], after: list[int]) -> float:
        """Return the millijoules of all packages between two states."""
        microjoules = 0
        for start, end, full in zip(before, after, self._full, strict=True):
            microjoules += end - start
            if end < start:  # it was full in between, and began again
                microjoules += full
        return microjoules / 1e3

    def wait_for_update(self) -> None:
        """Wait for the next tick, about a millisecond away."""
        _wait(self.now, seconds=0.05)


class NvmlCounter(EnergyCounter):
    """NVML: a whole NVIDIA GPU, whatever runs on it (Volta or newer).

    Args:
        device: a CUDA device.

    Raises:
        UserError: the package nvidia-ml-py is missing, or the driver counts no energy of this GPU.
    """

    def __init__(self, device: torch.device) -> None:
        try:
            pynvml = importlib.import_module("pynvml")  # optional, and without types
        except ImportError as error:
            raise UserError(
                "energy: the package nvidia-ml-py is missing; pip install nvidia-ml-py"
            ) from error
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(_uuid(device))
            self._read = pynvml.nvmlDeviceGetTotalEnergyConsumption
            self.now()  # a GPU without a counter must be told before anything is measured
        except pynvml.NVMLError as error:
            raise UserError(
                f"energy: NVML counts no energy of {device}: {error}; it needs Volta or newer"
            ) from error
        self.name = f"NVML, {torch.cuda.get_device_name(device)}"

    def now(self) -> int:
        """Return the millijoules since the driver was loaded."""
        return int(self._read(self._handle))

    def between(self, before: int, after: int) -> float:
        """Return the millijoules between two states."""
        return float(after - before)

    def wait_for_update(self) -> None:
        """Wait for the next tick, up to a tenth of a second away."""
        _wait(self.now, seconds=0.5)


def find_counter(device: torch.device, root: Path = POWERCAP) -> EnergyCounter:
    """Return the counter of a device.

    Args:
        device: a CUDA device or the CPU.
        root: the directory of the kernel's power zones.

    Raises:
        UserError: the device's energy can't be counted; the line says what is missing.
    """
    if device.type == "cuda":
        return NvmlCounter(device)
    if device.type != "cpu":
        raise UserError(
            f"energy: device is {device}; energy is counted on cpu (RAPL) and cuda (NVML)"
        )
    return RaplCounter(root)


def _wait(read: Callable[[], object], seconds: float) -> None:
    """Wait until a counter changes, or the time is up."""
    before = read()
    end = time.monotonic() + seconds
    while read() == before and time.monotonic() < end:
        time.sleep(2e-4)


def _uuid(device: torch.device) -> str:
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    return f"GPU-{uuid.removeprefix('GPU-')}"


def _is_package(zone: Path) -> bool:
    """Return whether a zone is a whole package of the CPU.

    "intel-rapl:0" is one, "intel-rapl:0:1" a part of it; a zone that is named "psys" is the whole
    platform, packages included.
    """
    if zone.name.count(":") != 1:
        return False
    try:
        return (zone / "name").read_text().startswith("package")
    except OSError:  # old kernels name no zone
        return True


def _microjoules(path: Path) -> int:
    try:
        return int(path.read_text())
    except PermissionError as error:
        raise UserError(
            f"energy: {path} is readable by root alone; run `sudo chmod a+r {path}`"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(
            f"energy: {path} can't be read: {getattr(error, 'strerror', None) or error}"
        ) from error
