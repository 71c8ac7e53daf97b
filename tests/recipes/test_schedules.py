"""The learning rates of every recipe against the published rule, and the page that shows them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from unas.recipes import names, recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def schedules() -> ModuleType:
    file = ROOT / "benchmarks" / "schedules.py"
    spec = importlib.util.spec_from_file_location("schedules", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for their types
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", names())
def test_rates_of_a_recipe_are_those_of_its_rule(name: str, schedules: ModuleType) -> None:
    search, training = schedules.RULES[name]
    config = recipe(name)
    for epoch in range(search.warm_up + search.epochs + 1):
        rates = schedules.search_rates(config, epoch)
        assert rates == pytest.approx(search.rates(epoch), rel=1e-12)
    for epoch in range(training.epochs + 1):
        (rate,) = training.rates(epoch)
        assert config.training.lr_at(epoch) == pytest.approx(rate, rel=1e-9, abs=1e-15)


def test_published_rates_at_a_few_points() -> None:
    cifar, imagenet = recipe("cifar10").search, recipe("imagenet").training
    assert cifar.weights.lr_at(cifar.elapsed(14, 0, 100)) == 6e-4
    assert cifar.policy.lr_at(cifar.elapsed(15, 0, 100)) == 2e-3
    assert cifar.weights.lr_at(cifar.elapsed(30 + 85, 85, 30 + 170)) == pytest.approx(3.5e-4)
    assert cifar.policy.lr_at(cifar.elapsed(100, 85, 100)) == pytest.approx(3e-4)
    assert imagenet.lr_at(2.5) == pytest.approx(0.4)
    assert imagenet.lr_at(250) == pytest.approx(7.9e-4, rel=2e-3)  # not 0
    assert recipe("cifar100").training.lr_at(600) == pytest.approx(0, abs=1e-12)


def test_page_shows_the_rates_of_today(schedules: ModuleType) -> None:
    assert (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8") == schedules.page(), (
        "write it anew: python benchmarks/schedules.py > docs/recipes.md"
    )
