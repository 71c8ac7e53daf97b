"""Models of one's own in usual forms go through a run, and what it leaves can be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import own_models
import unas
from own_models import config_of
from unas.budgets.budget import Budget
from unas.cli import main
from unas.runs.network import load_network
from unas.spaces import ModuleSpace, without_memory

SHARED = ("SharedBlock", "SharedWeight", "SharedBuffer", "SharedOption")
READING = ("GrowingDropRate", "ListOfTensor", "ArrayOfTensor", "BranchOnTensor", "TensorOnCpu")
FROZEN = ("FrozenStem", "FrozenOption")


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], unas.Result]:
    """Return a function that runs a model, with a budget, once for all tests."""
    results: dict[str, unas.Result] = {}

    def run(name: str) -> unas.Result:
        if name not in results:
            config = replace(
                config_of(getattr(own_models, name)), budgets=(Budget.parse("params<=10k"),)
            )
            results[name] = unas.run(config, tmp_path_factory.mktemp(name) / "run", quiet=True)
        return results[name]

    return run


@pytest.mark.parametrize("name", [*SHARED, *READING, *FROZEN])
def test_a_model_of_a_usual_form_goes_through_all_commands(
    name: str, run_of: Callable[[str], unas.Result], capsys: pytest.CaptureFixture[str]
) -> None:
    result = run_of(name)
    assert result.summary["budgets"][0]["passed"]
    trust = ["--trust", f"own_models:{name}", "--trust", "tiny:TinyDigits"]
    assert main(["evaluate", str(result.directory), *trust]) == 0
    assert f"{100 * result.summary['test_accuracy']:.2f} %" in capsys.readouterr().out
    assert main(["export", str(result.directory), *trust]) == 0


@pytest.mark.parametrize("name", SHARED)
def test_shared_weights_are_loaded_shared(name: str, run_of: Callable[[str], unas.Result]) -> None:
    result = run_of(name)
    space = ModuleSpace(getattr(own_models, name))
    network = load_network(result.directory, space)
    assert memories(network) == memories(space.network(result.genotype, 10, 1))
    assert sum(p.numel() for p in network.parameters()) == result.summary["parameters"]


def memories(network: nn.Module) -> list[list[str]]:
    """Return the names of the values that lie in each memory, in order."""
    names: dict[int, list[str]] = {}
    for name, value in network.state_dict().items():
        names.setdefault(value.untyped_storage().data_ptr(), []).append(name)
    return sorted(names.values())


@pytest.mark.parametrize("name", READING)
def test_a_model_that_needs_values_is_built_for_real(name: str) -> None:
    state = torch.get_rng_state()
    model = without_memory(getattr(own_models, name))
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_other_models_take_no_memory() -> None:
    network = without_memory(lambda: nn.Linear(10**6, 10**6))
    assert next(network.parameters()).device.type == "meta"


def test_frozen_weights_stay_as_they_are(tmp_path: Path) -> None:
    config = config_of(frozen_and_known)
    result = unas.run(config, tmp_path / "run", quiet=True)
    weights = dict(load_network(result.directory, config.space).named_parameters())
    assert torch.equal(weights["stem.weight"], torch.full((8, 1, 3, 3), 0.25))
    assert not torch.equal(weights["head.weight"], torch.full((10, 8), 0.25))


def frozen_and_known() -> nn.Module:
    model = own_models.FrozenStem()
    for weight in (model.stem.weight, model.head.weight):
        nn.init.constant_(weight, 0.25)
    return model
