"""Counters of the energy that a processor has used, read from the driver or the kernel."""

from __future__ import annotations

import importlib
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch

from unas.common.errors import UserError

POWERCAP = Path("/sys/class/powercap")


class EnergyCounter(ABC):
    """A counter that only grows, apart from beginning again at 0 when it is full.

    Attributes:
        name: what it counts, for people.
    """

    name: str

    @abstractmethod
    def between(self, before: Any, after: Any) -> float:
        """Return the millijoules between two states of `now`; one beginning again is recognised."""

    @abstractmethod
    def now(self) -> Any:
        """Return the state of the counter."""

    @abstractmethod
    def wait_for_update(self) -> None:
        """Wait until the counter has just changed, so that a window begins and ends on its ticks."""


class RaplCounter(EnergyCounter):
    """RAPL: all packages of the CPU, whatever runs on them, as the Linux kernel shows it in /sys/class/powercap.

    Args:
        root: the directory of the power zones.

    Raises:
        UserError: there is none, or this user can't read it.
    """

    def __init__(self, root: Path = POWERCAP) -> None:
        # Of "intel-rapl:0" (a package) and "intel-rapl:0:1" (a part of it), only the first; AMD's
        # have this name too.
        zones = sorted(path for path in root.glob("intel-rapl:*") if path.name.count(":") == 1)
        self._zones = [zone for zone in zones if _is_package(zone)]
        if not self._zones:
            raise UserError(
                f"energy: {root} has no intel-rapl zone of a package, so the kernel counts no energy here; use a "
                "machine that shows RAPL (most virtual machines don't) or an NVIDIA GPU"
            )
        self._full = [_microjoules(zone / "max_energy_range_uj") for zone in self._zones]
        self.now()
        self.name = f"RAPL, {len(self._zones)} CPU package{'s' if len(self._zones) > 1 else ''}"

    def now(self) -> list[int]:
        """Return the microjoules of each package."""
        return [_microjoules(zone / "energy_uj") for zone in self._zones]

    def between(self, before: list[int], after: list[int]) -> float:
        """Return the millijoules of all packages; one that has begun again has counted to its end before."""
        zones = zip(before, after, self._full, strict=True)
        return (
            sum(end - start if end >= start else end - start + full for start, end, full in zones)
            / 1e3
        )

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
            self.now()
        except pynvml.NVMLError as error:
            raise UserError(
                f"energy: NVML counts no energy of {device}: {error}; it needs Volta or newer"
            ) from error
        self.name = f"NVML, {torch.cuda.get_device_name(device)}"

    def now(self) -> int:
        """Return the millijoules since the driver was loaded."""
        return int(self._read(self._handle))

    def between(self, before: int, after: int) -> float:
        """Return the millijoules between them."""
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
        UserError: its energy can't be counted; the line says what is missing.
    """
    if device.type == "cuda":
        return NvmlCounter(device)
    if device.type != "cpu":
        raise UserError(
            f"energy: device is {device}; energy is counted on cpu (RAPL) and cuda (NVML)"
        )
    return RaplCounter(root)


def _wait(read: Any, seconds: float) -> None:
    before, end = read(), time.monotonic() + seconds
    while read() == before and time.monotonic() < end:
        time.sleep(2e-4)


def _uuid(device: torch.device) -> str:
    found = str(torch.cuda.get_device_properties(device).uuid)
    return found if found.startswith("GPU-") else f"GPU-{found}"


def _is_package(zone: Path) -> bool:
    """Return whether a zone is a package; "psys" is the whole platform, packages included. Old kernels name none."""
    try:
        return (zone / "name").read_text().startswith("package")
    except OSError:
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
