"""What a model of one's own can't do is told in one line before a directory is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import own_models
import unas
from own_models import config_of
from tiny import tiny_recipe
from unas.common.errors import UserError
from unas.config import Config
from unas.data import DataSize
from unas.nn.choice import OpChoice
from unas.pipeline.trial import try_out
from unas.recipes import recipe
from unas.spaces.darts import DartsNetworkOptions

MISTAKES = {
    "Dictionary": r"Dictionary gave a dict for \[4, 1, 8, 8\]; it must give \[4, 10\]",
    "Pair": r"Pair gave a tuple of 2 for \[4, 1, 8, 8\]; it must give \[4, 10\]",
    "Nothing": r"Nothing gave None for ",
    "Unflattened": r"Unflattened gave \[4, 10, 1, 1\] for \[4, 1, 8, 8\]; it must give \[4, 10\]",
    "Single": "model.onnx of Single can't be run on 3 images: .*must take any number of images",
    "Answers": r"Answers gave \[4\] of int64 for ",
    "WithoutGradient": r"WithoutGradient can't take \[4, 1, 8, 8\]: RuntimeError: element 0 of",
    "OtherNames": r"OtherNames gave \[4, 5\] for .* must give \[4, 10\]; it is told neither "
    "num_classes nor image_channels, for it has no parameter of that name",
    "OtherChannels": r"OtherChannels can't take .* to have 3 channels.*\(own_models.py:\d+\); "
    "it is told no image_channels, for",
    "TwoInputs": r"TwoInputs can't take .*missing 1 required positional argument: 'mask'",
    "TwoInputsOfChoice": "OpChoice 'block' got two inputs, the second of type Tensor",
    "TwoShapes": r"OpChoice 'block': option 'as it is' gives .* all options must give one shape",
    "TwoLengths": r"OpChoice 'block': option 'whole' gives .*, 'half' gives \[4, 8, 4, 4\]",
    "WrongSize": r"WrongSize can't take .*mat1 and mat2 shapes.*\(own_models.py:\d+\)",
    "MaxPooled": "MaxPooled can't be exported to ONNX: .*adaptive_max_pool2d",
    "MaxPooledOption": "MaxPooledOption can't be exported to ONNX: .*adaptive_max_pool2d",
    "Decomposed": "Decomposed can't be exported to ONNX: .*svd",
    "Branching": "Branching can't be exported to ONNX: .*data-dependent",
    "CountedImages": "CountedImages: the network makes the number of images a constant",
    "Lazy": "Lazy: the weight model.stem.weight has no shape before the first images; give its",
    "Frozen": "Frozen has no weight to train",
    "Random": "Random gives other logits each time in evaluation mode",
    "Unsaved": "Unsaved gives other logits after it was saved and loaded",
    "Growing": "model.safetensors of Growing: the weight 'weight_.*' is ",
    "Deep": r"Deep can't be trained on \[2, 1, 8, 8\]: RuntimeError: required rank 4",
    "Unmade": "Unmade can't be made: KeyError: 'large'",
    "UnmadeForGrey": "UnmadeForGrey can't be made: ValueError: three channels",
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_before_the_directory_is_made(name: str, tmp_path: Path) -> None:
    config = config_of(getattr(own_models, name))
    with pytest.raises(UserError, match=MISTAKES[name]) as error:
        unas.run(config, tmp_path / "run", quiet=True)
    assert len(str(error.value)) < 450
    assert not list(tmp_path.iterdir())


def tried(config: Config, *, exports: bool = True) -> None:
    digits = DataSize(96, 24, 10, (1, 8, 8))
    try_out(config, digits, config.runtime.build(), exports=exports)


@pytest.mark.parametrize("config", [tiny_recipe(), config_of(own_models.SharedBlock)])
def test_a_trial_leaves_no_trace(config: Config) -> None:
    generators = torch.get_rng_state()
    tried(config)
    assert torch.equal(torch.get_rng_state(), generators)
    assert torch.is_grad_enabled()


def test_the_corrected_command_takes_the_same_directory(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        unas.run(config_of(own_models.Dictionary), tmp_path / "run", quiet=True)
    result = unas.run(config_of(own_models.Usual), tmp_path / "run", quiet=True)
    assert (result.directory / "model.onnx").exists()


def test_a_search_alone_needs_no_export() -> None:
    config = config_of(own_models.MaxPooled)
    tried(config, exports=False)
    with pytest.raises(UserError, match="can't be exported"):
        tried(config)


def test_a_training_tries_its_own_architecture_alone(tmp_path: Path) -> None:
    config = config_of(own_models.MaxPooledOption)
    genotype = tmp_path / "genotype.json"
    for option, is_possible in (("skip", True), ("max", False)):
        genotype.write_text(unas.Genotype("module", {"block": option}).to_json())
        training = replace(config, genotype=str(genotype))
        if is_possible:
            tried(training)
        else:
            with pytest.raises(UserError, match="can't be exported"):
                tried(training)


@pytest.mark.parametrize("name", ["TwoShapes", "TwoLengths"])
def test_options_of_two_shapes_are_noticed_where_weights_follow_hard_samples(name: str) -> None:
    config = config_of(getattr(own_models, name))
    search = replace(config.search, weights_on="hard")
    with pytest.raises(UserError, match="all options must give one shape"):
        tried(replace(config, search=search))


def test_a_batch_norm_that_sees_one_image_is_noticed() -> None:
    config = config_of(lone_batch_norm)
    search = replace(config.search, architectures_per_batch=config.search.batch_size)
    tried(config)
    with pytest.raises(UserError, match="Expected more than 1 value per channel"):
        tried(replace(config, search=search))


def lone_batch_norm() -> nn.Module:
    features = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 8))
    options = {name: nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8)) for name in ("a", "b")}
    return nn.Sequential(features, OpChoice(options, bn="routed"), nn.Linear(8, 10))


def test_a_built_in_network_that_does_not_fit_the_images_is_noticed() -> None:
    network = DartsNetworkOptions(channels=4, layers=6, auxiliary=True)
    with pytest.raises(UserError, match="these images leave 2×2 at the auxiliary head"):
        tried(replace(tiny_recipe(), network=network))


@pytest.mark.parametrize("name", ["imagenet", "imagenet-mobile"])
def test_the_large_recipes_are_tried_without_computing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = set()
    forward = nn.Conv2d.forward

    def noted(self: nn.Conv2d, images: torch.Tensor) -> torch.Tensor:
        devices.add(images.device.type)
        return forward(self, images)

    monkeypatch.setattr(nn.Conv2d, "forward", noted)
    config = replace(recipe(name), runtime=tiny_recipe().runtime)
    photographs = DataSize(1_281_167, 50_000, 1000, (3, 224, 224))
    try_out(config, photographs, config.runtime.build())
    assert devices == {"meta"}
