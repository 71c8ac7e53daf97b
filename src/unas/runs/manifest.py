"""What a run was made with: versions, hardware, seed, command, revision, time."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import torch

from unas.compute.hardware import cpu_count, cpu_name

PACKAGES = ("unas", "torch", "torchvision", "numpy", "onnx", "onnxruntime")


def collect_manifest(seed: int, command: Sequence[str], device: str) -> dict[str, Any]:
    """Return the content of manifest.json.

    Args:
        seed: that of the run.
        command: the command line, as `sys.argv`.
        device: `Runtime.describe()`.
    """
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        versions[package] = version_of(package)
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(command),
        "seed": seed,
        "device": device,
        "versions": versions,
        "hardware": hardware(),
        "git_revision": git_revision(),
    }


def starts_in(manifest: object) -> list[dict[str, Any]]:
    """Return what a manifest says of the start of a run and of each resume.

    Args:
        manifest: the content of manifest.json, which may be somebody else's.
    """
    if not isinstance(manifest, dict):
        return []
    resumes = manifest.get("resumed", [])
    if not isinstance(resumes, list):
        return [manifest]
    return [entry for entry in (manifest, *resumes) if isinstance(entry, dict)]


def version_of(package: str) -> str | None:
    """Return the version of an installed package without importing it, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def hardware() -> dict[str, Any]:
    """Return what this machine is: system, processor, cores of this process, memory, GPUs."""
    gpus = []
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        gpus = [torch.cuda.get_device_name(index) for index in range(count)]
    return {
        "system": platform.platform(),
        "cpu": cpu_name(),
        "cores": cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": gpus,
        "cuda": torch.version.cuda if gpus else None,
    }


def git_revision() -> str | None:
    """Return the commit checked out in the current directory, or None outside a git checkout."""
    git = shutil.which("git")
    if git is None:
        return None
    try:
        process = subprocess.run(  # noqa: S603 -- fixed arguments; rev-parse runs no hooks
            [git, "rev-parse", "--verify", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if process.returncode != 0:
        return None
    return process.stdout.strip()
