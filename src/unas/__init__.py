"""Search a network for your images and your device, train it, export it, and prove that it meets the budget."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unas import estimators, latency, objectives, spaces
    from unas.counting import count_macs, count_parameters
    from unas.errors import UserError
    from unas.genotype import Genotype
    from unas.genotype_files import list_genotypes, load_genotype
    from unas.nn.choice import InputChoice, OpChoice
    from unas.pipeline import Result, run, search, search_step, train
    from unas.policy import Policy, Sample
    from unas.recipes import recipe
    from unas.spaces import create_network

__version__ = "0.1.0"

# Everything is imported at its first use: `unas --help` answers without waiting for torch.
_HOME = {
    "Genotype": "unas.genotype",
    "InputChoice": "unas.nn.choice",
    "OpChoice": "unas.nn.choice",
    "Policy": "unas.policy",
    "Result": "unas.pipeline",
    "Sample": "unas.policy",
    "UserError": "unas.errors",
    "count_macs": "unas.counting",
    "count_parameters": "unas.counting",
    "create_network": "unas.spaces",
    "list_genotypes": "unas.genotype_files",
    "load_genotype": "unas.genotype_files",
    "recipe": "unas.recipes",
    "run": "unas.pipeline",
    "search": "unas.pipeline",
    "search_step": "unas.pipeline",
    "train": "unas.pipeline",
}
_PACKAGES = ("estimators", "latency", "objectives", "spaces")

__all__ = [
    "Genotype",
    "InputChoice",
    "OpChoice",
    "Policy",
    "Result",
    "Sample",
    "UserError",
    "count_macs",
    "count_parameters",
    "create_network",
    "estimators",
    "latency",
    "list_genotypes",
    "load_genotype",
    "objectives",
    "recipe",
    "run",
    "search",
    "search_step",
    "spaces",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return importlib.import_module(f"unas.{name}")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'unas' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
