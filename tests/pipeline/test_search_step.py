"""`unas.search_step`: a whole update without data or files, also toward a budget."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import unas
from tiny import tiny_recipe
from unas.config import Config
from unas.objectives.macs import MacsTerm


def toward(limit: float) -> Config:
    """Return a recipe whose cost is the multiply-adds of the deployed network."""
    config = tiny_recipe()
    objectives = {**config.search.objectives, "macs": MacsTerm(limit=limit)}
    policy = replace(config.search.policy, lr=0.3, final_lr=0.3)
    return replace(config, search=replace(config.search, objectives=objectives, policy=policy))


def test_a_step_counts_the_deployed_network_of_images_of_the_given_size() -> None:
    step = unas.search_step(toward(1.0), image_size=8)
    x, y = torch.zeros(24, 1, 8, 8), torch.zeros(24, dtype=torch.long)
    first, *_, last = (step(x, y, x, y)["expected_macs"] for _ in range(8))
    assert last < first
    # The real network of the policy's mode is cheaper than the uniform policy's mean.
    config = tiny_recipe()
    genotype = unas.Genotype(config.space.registry_name, step.policy.mode())
    network = config.space.network(genotype, 10, 1, **vars(config.network))
    assert unas.count_macs(network, (1, 8, 8)) < first


def test_two_terms_on_one_quantity_have_a_figure_each() -> None:
    config = toward(1.0)
    objectives = {**config.search.objectives, "macs_again": MacsTerm(limit=1.0)}
    twice = replace(config, search=replace(config.search, objectives=objectives))
    x, y = torch.zeros(24, 1, 8, 8), torch.zeros(24, dtype=torch.long)
    figures = unas.search_step(twice, image_size=8)(x, y, x, y)
    assert figures["expected_macs"] == figures["expected_macs_macs_again"]


def test_a_term_about_the_deployed_network_needs_the_size_of_its_images() -> None:
    with pytest.raises(
        unas.UserError, match=r"objective macs is about the deployed network .*; give image_size"
    ):
        unas.search_step(toward(1.0))
