"""A run of seconds on the model that can be enumerated, and what its architectures cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fake_clock import BLUEPRINT, SPACE
from tiny import tiny_recipe
from unas.budgets import quantities
from unas.budgets.quantities import CountedQuantity
from unas.config import Config
from unas.costs.blocks import random_genotypes
from unas.costs.gauges import Counter
from unas.estimators.reinforce import Reinforce

GENOTYPES = random_genotypes(SPACE, 40, np.random.default_rng(1))


def small(**changes: Any) -> Config:
    """Return the tiny recipe on the model that can be enumerated."""
    config = tiny_recipe()
    objectives = {"cross_entropy": config.search.objectives["cross_entropy"]}
    search = replace(config.search, objectives=objectives, estimator=Reinforce())
    return replace(config, space=SPACE, network=SPACE.network_options(), search=search, **changes)


def counter(name: str) -> Counter:
    quantity = quantities.get(name)()
    assert isinstance(quantity, CountedQuantity)
    return Counter(BLUEPRINT, quantity.count)


def figures(quantity: str) -> list[float]:
    return [counter(quantity)(genotype).value for genotype in GENOTYPES]


def of_median(quantity: str, share: float) -> str:
    return f"{quantity}<={share * float(np.median(figures(quantity))):.0f}"
