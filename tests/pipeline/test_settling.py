"""A policy that goes on learning at the end, while the weights rest."""

from __future__ import annotations

import json
import math
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import unas
from planted import CONFIG, batch, build
from tiny import tiny_recipe
from unas.common.errors import Interrupted
from unas.config import Config
from unas.runs.directory import RunDirectory
from unas.runs.names import CANDIDATES, GENOTYPE, METRICS, POLICY
from unas.searching.loop import policy_updates
from unas.searching.watching import watched

SETTLING = 4
STEPS = 9  # three of warm-up and six with the policy


def settling(policy_every: int = 2) -> Config:
    recipe = tiny_recipe()
    search = replace(recipe.search, settling_steps=SETTLING, policy_every=policy_every)
    return replace(recipe, search=search)


def logged(run: Path) -> dict[int, dict[str, float]]:
    lines = (run / METRICS).read_text().splitlines()
    return {entry["step"]: entry for entry in map(json.loads, lines)}


def test_policy_learns_alone_in_the_last_steps(tmp_path: Path) -> None:
    unas.search(settling(), tmp_path / "run", quiet=True)
    entries = logged(tmp_path / "run")
    learned = [step for step, entry in entries.items() if "train_loss" in entry]
    of_policy = [step for step, entry in entries.items() if "cross_entropy" in entry]
    assert learned == list(range(1, STEPS + 1))
    assert of_policy == [4, 6, 8, *range(STEPS + 1, STEPS + SETTLING + 1)]
    assert len(of_policy) == policy_updates(settling().search, 3)
    assert all(("weights_lr" in entry) == (step in learned) for step, entry in entries.items())
    policies = json.loads((tmp_path / "run" / POLICY).read_text())
    assert [entry["epoch"] for entry in policies] == [1, 2, 3, 4, 5]


def test_the_rate_of_a_settling_policy_falls_anew(tmp_path: Path) -> None:
    unas.search(settling(), tmp_path / "run", quiet=True)
    rates = [logged(tmp_path / "run")[STEPS + 1 + step]["policy_lr"] for step in range(SETTLING)]
    policy = settling().search.policy
    for step, rate in enumerate(rates):
        half = (1 + math.cos(math.pi * step / SETTLING)) / 2
        assert rate == pytest.approx(policy.final_lr + (policy.lr - policy.final_lr) * half)


def test_weights_rest_and_the_good_option_is_found() -> None:
    search = build(replace(CONFIG, settling_steps=60))
    for number in range(60):
        search.warm_up(*batch(number)[:2])
    weights = [weight.detach().clone() for weight in search.weights]
    before = search.policy.probabilities()["2"]["good"]
    for number in range(60):
        search.settle(*batch(number))
    assert all(old.equal(new) for old, new in zip(weights, search.weights, strict=True))
    assert before == pytest.approx(1 / 3)
    assert search.policy.probabilities()["2"]["good"] > 0.8
    assert not {"weights_lr", "weights_gradient_norm"} & set(watched(search))


def test_a_search_that_is_stopped_while_it_settles_ends_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    unas.search(settling(), whole, quiet=True)
    log, steps = RunDirectory.log, list[object]()

    def stopping_log(self: RunDirectory, *arguments: Any) -> None:
        log(self, *arguments)
        steps.append(arguments)
        if len(steps) == STEPS + 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "log", stopping_log)
        with pytest.raises(Interrupted) as stopped:
            unas.search(settling(), run, quiet=True)
    assert stopped.value.step == STEPS + 2
    unas.search(settling(), run, resume=True, quiet=True)
    for name in (METRICS, POLICY, CANDIDATES, GENOTYPE):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name
