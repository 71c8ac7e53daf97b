"""Everything that a run is made from."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from unas.budgets.budget import Budget, read_budgets
from unas.budgets.steering import steered
from unas.common.errors import UserError
from unas.compute.runtime import RuntimeConfig
from unas.data import Dataset
from unas.graphs.onnx import OPSET, check_opset
from unas.latency import backends
from unas.objectives import CostTerm
from unas.runs.session import CheckpointConfig
from unas.searching.choosing import ChoosingConfig
from unas.searching.config import SearchConfig
from unas.spaces import Blueprint, NetworkOptions, SearchSpace
from unas.training import TrainingConfig


@dataclass(frozen=True)
class Config:
    """A run, from data to an exported network; what a recipe returns.

    Args:
        dataset: the images.
        space: the search space, with the size of its supernet.
        network: size of the network that the found architecture becomes.
        search: how to search.
        choosing: how to pick an architecture from the final policy.
        training: how to train its network from scratch.
        runtime: device and precision.
        checkpoint: how often to save.
        budgets: the most that the network may cost. One that is given as text, such as
            "latency<=8ms@onnxruntime" or "macs<=600M", is read; a latency is then measured with
            the backend of the search's term, if there is one and it is called so.
        genotype: an architecture to take instead of searching: a published name, a JSON file or a
            run directory.
        data_root: where data sets are; the environment's UNAS_DATA, else ./data, when not given.
        opset: the version of ONNX's operators in model.onnx: 18 suits most runtimes.
        seed: of everything random.

    Raises:
        UserError: a budget can't be read, there is no such opset, or the seed is none of PyTorch.
    """

    dataset: Dataset
    space: SearchSpace
    network: NetworkOptions
    search: SearchConfig = SearchConfig()
    choosing: ChoosingConfig = ChoosingConfig()
    training: TrainingConfig = TrainingConfig()
    runtime: RuntimeConfig = RuntimeConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    budgets: tuple[Budget, ...] = ()
    genotype: str | None = None
    data_root: str | None = None
    opset: int = OPSET
    seed: int = 0

    def __post_init__(self) -> None:
        if not -(2**63) <= self.seed < 2**64:
            raise UserError(f"seed is {self.seed}; it must be from {-(2**63)} to {2**64 - 1}")
        check_opset(self.opset)
        known = {}
        for term in self.search.objectives.values():
            backend = term.measured_with() if isinstance(term, CostTerm) else None
            if backend is not None:
                known[backends.registry.name_of(type(backend))] = backend
        object.__setattr__(self, "budgets", read_budgets(self.budgets, known))

    def steered_search(self) -> SearchConfig:
        """Return how the run searches: with a term for each budget, none of which aims above it."""
        terms = steered(self.search.objectives, self.budgets)
        return replace(self.search, objectives=terms)

    def blueprint(self, num_classes: int, image_shape: tuple[int, int, int]) -> Blueprint:
        """Return how an architecture becomes a network for images [C, H, W] of these classes."""
        return Blueprint(self.space, self.network, num_classes, image_shape)

    @property
    def data_directory(self) -> Path:
        """Where data sets are."""
        return Path(self.data_root or os.environ.get("UNAS_DATA") or "data")
