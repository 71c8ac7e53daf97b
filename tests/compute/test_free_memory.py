"""Free memory against what Linux and a container's limit say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from unas.compute import free_memory as module
from unas.compute.free_memory import free_memory

CPU = torch.device("cpu")
MEMORY = "MemTotal: 9000 kB\nMemFree: 100 kB\nMemAvailable: 5000 kB\n"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in the place of /sys/fs/cgroup, on a system with 5,000 KiB available."""
    (tmp_path / "meminfo").write_text(MEMORY)
    (tmp_path / "cgroup").write_text("0::/\n")
    monkeypatch.setattr(module, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(module, "_OWN_GROUP", tmp_path / "cgroup")
    monkeypatch.setattr(module, "_GROUPS", tmp_path / "groups")
    (tmp_path / "groups").mkdir()
    return tmp_path / "groups"


def group(folder: Path, limit: str, usage: int, files: int = 0, *, version: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current", "inactive_file")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{usage}\n")
    (folder / "memory.stat").write_text(f"anon 7\n{names[2]} {files}\n")


def test_without_limits_it_is_what_the_system_has(system: Path) -> None:
    group(system, "max", 10)
    assert free_memory(CPU) == 5000 * 1024


def test_a_container_has_what_is_left_of_its_limit(system: Path) -> None:
    group(system, "1000000", 700000, files=200000)
    assert free_memory(CPU) == 500000


def test_the_limit_of_a_group_above_counts_too(system: Path) -> None:
    (system.parent / "cgroup").write_text("0::/jobs/mine\n")
    group(system / "jobs" / "mine", "900000", 0)
    group(system / "jobs", "300000", 100000)
    assert free_memory(CPU) == 200000


def test_groups_of_the_first_version(system: Path) -> None:
    (system.parent / "cgroup").write_text("5:cpu,cpuacct:/\n4:memory:/box\n0::/\n")
    group(system / "memory" / "box", "400000", 500000, version=1)
    assert free_memory(CPU) == 0


def test_where_nothing_tells_it_is_unknown(system: Path) -> None:
    (system.parent / "meminfo").unlink()
    assert free_memory(CPU) is None
    assert free_memory(torch.device("meta")) is None
