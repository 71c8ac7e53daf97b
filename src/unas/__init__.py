"""Search a network for your images and your device, train it, export it, and prove that it meets the budget."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unas import estimators, latency, objectives, spaces
    from unas.architecture.genotype import Genotype
    from unas.architecture.policy import Policy, Sample
    from unas.architecture.published import list_genotypes, load_genotype
    from unas.common.errors import UserError
    from unas.graphs.size import count_macs, count_parameters
    from unas.nn.choice import InputChoice, OpChoice
    from unas.pipeline import Result, run, search, search_step, train
    from unas.recipes import recipe
    from unas.spaces import create_network

__version__ = "0.1.0"

# Everything is imported at its first use: `unas --help` answers without waiting for torch.
_HOME = {
    "Genotype": "unas.architecture.genotype",
    "InputChoice": "unas.nn.choice",
    "OpChoice": "unas.nn.choice",
    "Policy": "unas.architecture.policy",
    "Result": "unas.pipeline",
    "Sample": "unas.architecture.policy",
    "UserError": "unas.common.errors",
    "count_macs": "unas.graphs.size",
    "count_parameters": "unas.graphs.size",
    "create_network": "unas.spaces",
    "list_genotypes": "unas.architecture.published",
    "load_genotype": "unas.architecture.published",
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
