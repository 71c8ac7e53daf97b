"""A policy that learns in some of the steps, and weights that learn in all of them."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import unas
from planted import CONFIG, batch, build
from tiny import tiny_recipe
from unas.pipeline import estimate
from unas.pipeline.estimate import of_search
from unas.runs.names import METRICS
from unas.searching.loop import policy_updates
from unas.searching.watching import watched


def test_policy_learns_in_every_nth_step_after_warm_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tiny_recipe()  # three steps of warm-up and six with the policy
    config = replace(recipe, search=replace(recipe.search, policy_every=2))
    unas.search(config, tmp_path / "run")
    assert "the policy learns in 3 steps of this search" in capsys.readouterr().err
    lines = (tmp_path / "run" / METRICS).read_text().splitlines()
    logged = {entry["step"]: entry for entry in map(json.loads, lines)}
    assert [step for step, entry in logged.items() if "cross_entropy" in entry] == [4, 6, 8]
    assert all("train_loss" in entry for entry in logged.values())


def test_between_updates_the_policy_rests_and_the_weights_learn() -> None:
    search = build()
    search(*batch(0))
    logits = [logit.detach().clone() for logit in search.policy.parameters()]
    weights = [weight.detach().clone() for weight in search.weights]
    search.between(*batch(1)[:2])
    for before, after in zip(logits, search.policy.parameters(), strict=True):
        assert before.equal(after)
    assert any(
        not before.equal(after) for before, after in zip(weights, search.weights, strict=True)
    )
    assert (search.steps, search.steps_since_warm_up) == (2, 2)


@pytest.mark.parametrize("every", [1, 2, 3, 5, 6, 7])
def test_updates_are_counted(every: int) -> None:
    config = replace(CONFIG, epochs=2, policy_every=every, settling_steps=4)
    learns = [step >= 6 or step % every == 0 for step in range(10)]
    assert policy_updates(config, 3) == sum(learns)
    for since in range(-3, 11):
        assert policy_updates(config, 3, since) == sum(learns[: max(since, 0)])


@pytest.mark.parametrize(
    ("every", "settling", "seconds"),
    [
        (1, 0, (3 * 4 + 9 * 8) / 12),
        (3, 0, (9 * 4 + 3 * 8) / 12),
        (1, 4, (3 * 4 + 9 * 8 + 4 * (8 - 4)) / 16),  # the policy alone
    ],
)
def test_estimate_is_the_mean_of_all_kinds_of_step(
    every: int, settling: int, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = estimate.Estimate(8.0, 5.0, "4")
    monkeypatch.setattr(estimate, "extended", lambda *_: both)
    with_policy, without = replace(both, seconds=0.2), replace(both, seconds=0.1)
    monkeypatch.setattr(estimate, "tried_sizes", lambda *_: [with_policy])
    monkeypatch.setattr(estimate, "_tried", lambda *_: without)
    recipe = tiny_recipe()
    search = replace(
        recipe.search,
        warm_up_epochs=1,
        epochs=3,
        policy_every=every,
        settling_steps=settling,
    )
    config = replace(recipe, search=search)
    data = config.dataset.load(Path()).size
    said = of_search(config, data, config.runtime.build())
    assert said.seconds == pytest.approx(seconds)
    assert said.memory_bytes == 5


def test_a_search_that_goes_on_between_updates_logs_the_same() -> None:
    config = replace(CONFIG, average=0.9)
    search, resumed = build(config), build(config)
    search(*batch(0))
    assert {"policy_lr", "policy_gradient_norm"} <= set(watched(search))
    resumed.load_state_dict(copy.deepcopy(search.state_dict()))
    for one in (search, resumed):
        one.between(*batch(1)[:2])
    assert watched(search) == watched(resumed)
    assert not {"policy_lr", "policy_gradient_norm"} & set(watched(search))


def test_good_weights_between_do_not_hide_a_policy_that_never_learns() -> None:
    search = build()
    for number in range(3):
        x, y, x_val, y_val = batch(number)
        search(x, y, torch.full_like(x_val, torch.inf), y_val)
        search.between(x, y)
    assert search.skipped.in_a_row == 3
