"""A search whose first epochs see smaller images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import unas
from estimated_memory import DIGITS, digits
from tiny import TinyDigits, tiny_recipe
from unas.common.errors import UserError
from unas.config import Config
from unas.data import DataSize
from unas.lab.ranking.rivals import uniform_training
from unas.pipeline import estimate
from unas.pipeline.batches import search_streams
from unas.pipeline.checks import check
from unas.pipeline.estimate import Size, of_search
from unas.pipeline.trial import try_out
from unas.runs.names import GENOTYPE, METRICS
from unas.searching import loop
from unas.searching.config import SearchConfig
from unas.spaces.module import ModuleSpace

DATA = DataSize(96, 24, 10, (1, 8, 8))


def growing(**changes: Any) -> Config:
    recipe = tiny_recipe()
    return replace(recipe, search=replace(recipe.search, small_epochs=1, small_side=4, **changes))


def test_the_weights_alone_see_smaller_images(tmp_path: Path) -> None:
    config = growing()
    data = TinyDigits().load(tmp_path)
    train, validation = search_streams(config, data)
    assert [train.batch(step)[0].shape[-1] for step in (0, 2, 3)] == [4, 4, 8]
    assert [validation.batch(step)[0].shape[-1] for step in (0, 2, 3)] == [8, 8, 8]
    unas.search(config, tmp_path / "small", quiet=True)
    unas.search(tiny_recipe(), tmp_path / "usual", quiet=True)
    first = [
        json.loads((tmp_path / name / METRICS).read_text().splitlines()[0])["train_loss"]
        for name in ("small", "usual")
    ]
    assert first[0] != first[1]
    assert (tmp_path / "small" / GENOTYPE).exists()


def test_what_is_left_is_counted_in_whole_images(tmp_path: Path) -> None:
    train, validation = search_streams(growing(), TinyDigits().load(tmp_path))
    assert [loop._work(train, step) for step in (0, 1, 3, 4, 9)] == [0, 0.25, 0.75, 1.75, 6.75]
    assert loop._work(validation, 9) == 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"small_epochs": 2, "small_side": 4}, r"search\.small_epochs is 2; it must be 1 or less"),
        ({"small_epochs": 1}, r"small_epochs is 1, but search\.small_side is 0; give the shorter"),
        ({"small_epochs": -1, "small_side": 4}, r"small_epochs is -1; it must be 0 or more"),
        ({"small_epochs": 1, "small_side": -4}, r"small_side is -4; it must be 0 or more"),
    ],
)
def test_half_a_wish_is_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SearchConfig(warm_up_epochs=1, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [8, 9])
def test_images_are_not_enlarged(side: int) -> None:
    config = growing()
    check(config, DATA)
    search = replace(config.search, small_side=side)
    with pytest.raises(UserError, match=rf"search\.small_side is {side}, .* 8×8 .* less than 8"):
        check(replace(config, search=search), DATA)


def build(num_classes: int, image_channels: int) -> nn.Module:
    """A model that pools eight pixels, and has none left of four."""
    choice = unas.OpChoice(
        {
            "conv": nn.Conv2d(image_channels, 4, 1),
            "wide": nn.Conv2d(image_channels, 4, 3, padding=1),
        },
        name="a",
    )
    return nn.Sequential(choice, nn.MaxPool2d(8), nn.Flatten(), nn.Linear(4, num_classes))


def test_a_model_that_needs_whole_images_is_refused_at_once() -> None:
    space = ModuleSpace(build)
    config = replace(growing(), space=space, network=space.network_options())
    objectives = {"cross_entropy": config.search.objectives["cross_entropy"]}
    config = replace(config, search=replace(config.search, objectives=objectives))
    runtime = config.runtime.build()
    with pytest.raises(UserError, match=r"can't take \[\d+, 1, 4, 4\]"):
        try_out(config, DATA, runtime, exports=False)
    whole = replace(config.search, small_epochs=0, small_side=0)
    try_out(replace(config, search=whole), DATA, runtime, exports=False)


@pytest.mark.parametrize(("epochs", "small"), [(3, 2), (30, 20), (0, 0)])
def test_a_supernet_of_another_length_has_as_large_a_share_of_them(epochs: int, small: int) -> None:
    config = growing(warm_up_epochs=3)
    config = replace(config, search=replace(config.search, small_epochs=2))
    uniform = uniform_training(config, epochs).search
    assert (uniform.warm_up_epochs, uniform.small_epochs) == (epochs, small)


def test_a_dry_run_of_large_images_tries_half_of_their_side(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What small ones save is a share of the images' own area all the same."""
    monkeypatch.setattr(
        estimate, "tried_sizes", lambda _, sizes, __: [estimate._Tried(sizes[-1], 1.0, 0.0)]
    )
    config = digits(warm_up_epochs=10, epochs=0)
    small = replace(config.search, small_epochs=10, small_side=64)
    data = replace(DIGITS, image_shape=(1, 128, 128))
    runtime = config.runtime.build()
    whole = of_search(config, data, runtime).seconds
    seconds = of_search(replace(config, search=small), data, runtime).seconds
    assert seconds == pytest.approx(whole / 4)


def test_a_dry_run_counts_what_they_save(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten epochs of the weights alone, of which four take a quarter, and none of the policy."""

    def tried_sizes(_make: object, sizes: list[Size], _runtime: object) -> list[Any]:
        return [estimate._Tried(sizes[-1], 1.0, 0.0)]

    monkeypatch.setattr(estimate, "tried_sizes", tried_sizes)
    config = digits(warm_up_epochs=10, epochs=0)
    runtime = config.runtime.build()
    assert of_search(config, DIGITS, runtime).seconds == pytest.approx(1.0)
    small = replace(config.search, small_epochs=4, small_side=4)
    seconds = of_search(replace(config, search=small), DIGITS, runtime).seconds
    assert seconds == pytest.approx((6 + 4 / 4) / 10)
