"""A policy that sees validation images alone, and weights that see training images alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from planted import CONFIG, batch, build
from unas import estimators
from unas.architecture.policy import Sample
from unas.compute.seeds import generator_for
from unas.estimators import draw_hard, draw_relaxed
from unas.objectives.cross_entropy import CrossEntropy
from unas.searching.config import SampleKind
from unas.searching.cost import Batches

ALONE = replace(CONFIG, objectives={"cross_entropy": CrossEntropy()}, policy_on="validation")
UNBIASED = [name for name in estimators.names() if name != "exact"]


@pytest.mark.parametrize("name", UNBIASED)
def test_policy_follows_no_training_image(name: str) -> None:
    config = replace(ALONE, estimator=estimators.get(name)())
    policies = []
    for seed in (0, 1):
        search = build(config)
        x, y, _, _ = batch(seed)
        _, _, x_val, y_val = batch(2)
        search(x, y, x_val, y_val)
        policies.append(torch.cat([p.detach().flatten() for p in search.policy.parameters()]))
    assert policies[0].equal(policies[1])
    assert policies[0].abs().sum() > 0


def test_cost_is_the_cross_entropy_of_validation_images() -> None:
    search = build(ALONE)
    batches = Batches(*batch(0))
    hard = draw_hard(search.policy, len(batches.y), torch.Generator().manual_seed(0))
    cost = search.cost(batches, ALONE.estimator)
    with torch.no_grad():
        logits = search.supernet(batches.x_val, hard)
        expected = F.cross_entropy(logits, batches.y_val, reduction="none")
        torch.testing.assert_close(cost(hard), expected)
    assert cost.train_losses is None


@pytest.mark.parametrize("weights_on", ["relaxed", "hard"])
def test_weights_follow_training_images_in_architectures_of_their_own(
    weights_on: SampleKind,
) -> None:
    config = replace(ALONE, weights_on=weights_on)
    x, y, x_val, y_val = batch(0)
    search, untouched = build(config), build(config)
    figures = search(x, y, x_val, y_val)
    noise = generator_for(search.seed, "search/weights", 0)
    if weights_on == "hard":
        sample: Sample = draw_hard(search.policy, len(y), noise)
    else:
        sample = draw_relaxed(search.policy, len(y), config.relaxed_temperature, noise).detach()
    loss = F.cross_entropy(untouched.supernet(x, sample), y).detach()
    assert figures["train_loss"] == pytest.approx(float(loss), rel=1e-5)
    assert figures["cross_entropy"] != pytest.approx(float(loss), rel=1e-2)
