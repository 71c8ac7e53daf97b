"""The two ImageNet recipes against the published table, and scaled down from photographs to an
exported network.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch

import unas
from image_tree import write_image_tree
from unas.architecture.genotype import Genotype
from unas.architecture.published import load_genotype
from unas.compute.runtime import RuntimeConfig
from unas.config import Config
from unas.data import Augmentation
from unas.data.imagenet import ImageNet
from unas.graphs.counting import count_by
from unas.graphs.size import count_macs, count_parameters
from unas.objectives.latency import LatencyTerm
from unas.recipes import names, recipe
from unas.runs.network import read_options
from unas.runs.session import CheckpointConfig
from unas.spaces.darts import DartsNetworkOptions, DartsSpace
from unas.spaces.proxylessnas import ProxylessNetworkOptions, ProxylessSpace

# Images of all 8 processes; learning rates for so many.
SEARCH = {
    "imagenet": {"warm_up_epochs": 5, "epochs": 15, "batch_size": 192, "softening": 0.08},
    "imagenet-mobile": {"warm_up_epochs": 20, "epochs": 15, "batch_size": 192, "softening": 0.08},
}
TRAINING = {
    "imagenet": {
        "epochs": 250,
        "warm_up_epochs": 5,
        "batch_size": 1024,
        "lr": 0.8,
        "weight_decay": 3e-5,
    },
    "imagenet-mobile": {
        "epochs": 300,
        "warm_up_epochs": 5,
        "batch_size": 512,
        "lr": 0.2,
        "weight_decay": 5e-5,
    },
}
TERMS = {
    "imagenet": {"cross_entropy": 1.0, "gap": 0.5, "overlap": 0.2},
    "imagenet-mobile": {"cross_entropy": 1.0, "gap": 0.5, "latency": 0.1},
}


def differing(values: dict[str, Any], config: object) -> dict[str, Any]:
    return {
        name: getattr(config, name)
        for name, value in values.items()
        if getattr(config, name) != value
    }


@pytest.mark.parametrize("name", SEARCH)
def test_recipe_is_the_published_one(name: str) -> None:
    assert name in names()
    config = recipe(name)
    search, training = config.search, config.training
    assert not differing(SEARCH[name], search)
    assert not differing(TRAINING[name], training)
    assert (
        search.batch_size // search.architectures_per_batch == 24
    )  # one architecture for the batch of a process
    assert (search.weights.lr, search.weights.final_lr, search.weights.weight_decay) == (
        3e-4,
        1e-4,
        3e-4,
    )
    assert (search.policy.lr, search.policy.final_lr, search.policy.weight_decay) == (
        1e-3,
        3e-4,
        1e-6,
    )
    assert search.relaxed_temperature == search.estimator.temperature == 0.4  # type: ignore[attr-defined]
    assert (training.momentum, training.clip_norm, training.label_smoothing) == (0.9, 5, 0.1)
    assert {key: term.weight for key, term in search.objectives.items()} == TERMS[name]
    assert search.schedule == "restarted"
    assert training.cosine == "all_epochs"
    assert search.augmentation == Augmentation()  # none: the middle of each photograph
    assert training.augmentation == Augmentation(
        flip=True, crop_share=0.08, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.2
    )


def test_mobile_recipe_is_steered_toward_the_published_latency() -> None:
    term = recipe("imagenet-mobile").search.objectives["latency"]
    assert isinstance(term, LatencyTerm)
    assert (term.target_ms, term.warm_up_steps, term.batch) == (10.0, 30_000, 24)


@pytest.mark.parametrize(
    ("name", "genotype", "parameters", "macs"),
    [
        ("imagenet", "UNAS_IMAGENET", 5_073_949, 548_602_256),
        ("imagenet-mobile", "UNAS", 5_965_528, 428_018_592),
    ],
)
def test_network_that_a_recipe_trains_has_the_published_counts(
    name: str, genotype: str, parameters: int, macs: int
) -> None:
    config, found = recipe(name), load_genotype(genotype)
    options = config.network.decided(found, 1000, 3)
    with torch.device("meta"):
        network = config.space.network(found, 1000, **vars(options))
    assert (count_parameters(network), count_macs(network, (3, 224, 224))) == (parameters, macs)
    assert hasattr(network, "auxiliary") == (name == "imagenet")


def scaled_down(name: str, root: Path, size: int) -> Config:
    """Return a recipe for a few photographs, with 3 steps of search and 3 of training."""
    config = recipe(name)
    if name == "imagenet":
        space: Any = DartsSpace(channels=2, layers=3, operations=5, stem="imagenet")
        network: Any = DartsNetworkOptions(
            channels=None, layers=3, stem="imagenet", max_macs=9_000_000, counting="published"
        )
    else:
        space, network = ProxylessSpace(width=0.1), ProxylessNetworkOptions(width=0.1)
    search = replace(
        config.search, warm_up_epochs=1, epochs=2, batch_size=8, architectures_per_batch=1
    )
    objectives = dict(search.objectives)
    latency = objectives.get("latency")
    if isinstance(latency, LatencyTerm):  # 24 images at once take a minute to measure
        objectives["latency"] = replace(latency, batch=2)
    return replace(
        config,
        dataset=ImageNet(size=size),
        space=space,
        network=network,
        search=replace(search, validation_fraction=0.5, objectives=objectives),
        training=replace(config.training, epochs=3, warm_up_epochs=1, batch_size=16, lr=0.05),
        runtime=RuntimeConfig(device="cpu"),
        checkpoint=CheckpointConfig(every_seconds=1e6),
        data_root=str(root),
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("imagenet", 224), ("imagenet-mobile", 64)])
def test_photographs_become_an_exported_network(name: str, size: int, tmp_path: Path) -> None:
    write_image_tree(tmp_path / "photographs", classes=2, per_class=8)
    config = scaled_down(name, tmp_path / "photographs", size)
    result = unas.run(config, tmp_path / "run", quiet=True)
    file = tmp_path / "run" / "model.safetensors"
    with safetensors.safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    assert Genotype.from_json(metadata["genotype"]) == result.genotype
    assert result.genotype.space == config.space.registry_name
    assert metadata["num_classes"] == "2"
    assert result.summary["onnx_max_difference"] < 1e-4
    if name == "imagenet":  # the file says what was decided
        options = read_options(file)
        channels = options["channels"]
        assert options | {"max_macs": 9_000_000} == {
            **vars(config.network),
            "channels": channels,
        }
        assert channels % 2 == 0
        for wider in (0, 2):
            with torch.device("meta"):
                network = config.space.network(
                    result.genotype, 2, channels=channels + wider, layers=3, stem="imagenet"
                )
            macs = count_by("published", network, (3, 224, 224))
            assert (macs < 9_000_000) == (wider == 0)
        assert f"C = {channels}" in result.summary["network_width"]
