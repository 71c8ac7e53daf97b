"""Estimators on a trained supernet: figures against their definitions, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tiny import tiny_recipe
from unas.architecture.policy import Policy
from unas.cli import main
from unas.common.errors import UserError
from unas.estimators import Cost
from unas.estimators.rebar import Rebar
from unas.estimators.reinforce import Reinforce
from unas.lab.supernet_gradients import (
    SupernetRow,
    _ratio,
    _resampling,
    _variances,
    supernet_gradients,
)
from unas.lab.supernet_report import markdown


class TwiceIt(Reinforce):
    """The same estimate doubled: its variance is fourfold."""

    def step(
        self,
        policy: Policy,
        cost: Cost,
        state: Any,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Any]:
        loss, learned = super().step(
            policy, cost, state, num_samples=num_samples, generator=generator
        )
        return 2 * loss, learned


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[SupernetRow], Path]:
    out = tmp_path_factory.mktemp("supernet")
    cases = {"reinforce": Reinforce(), "twice": TwiceIt()}
    return supernet_gradients(tiny_recipe(), cases, out, calls=20, quiet=True), out


def test_the_same_noise_gives_the_same_estimate_and_twice_it_four_times_the_variance(
    measured: Any,
) -> None:
    reference, twice = measured[0]
    assert reference.ratio == reference.ratio_low == reference.ratio_high == 1
    assert twice.variance == pytest.approx(4 * reference.variance)
    for found in (twice.ratio, twice.ratio_low, twice.ratio_high):
        assert found == pytest.approx(4)
    assert twice.at_equal_time == pytest.approx(4 * twice.step_ratio)
    assert 0 < twice.estimate_ms < twice.step_ms


def test_a_search_that_is_there_is_used_again_and_not_changed(
    measured: Any,
) -> None:
    out = measured[1]
    before = {path: path.read_bytes() for path in (out / "search" / "checkpoints").iterdir()}
    again = supernet_gradients(tiny_recipe(), {"reinforce": Reinforce()}, out, calls=20, quiet=True)
    assert again[0].variance == measured[0][0].variance
    assert before
    assert all(path.read_bytes() == old for path, old in before.items())


def test_a_search_of_no_steps_is_measured_as_it_starts(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    config = replace(recipe, search=replace(recipe.search, warm_up_epochs=0, epochs=0))
    (row,) = supernet_gradients(config, {"reinforce": Reinforce()}, tmp_path, calls=20, quiet=True)
    assert row.variance > 0


def test_the_interval_covers_the_ratio_of_gaussians_whose_variances_are_known() -> None:
    generator = torch.Generator().manual_seed(0)
    covered = 0
    for _ in range(40):
        one, other = torch.randn(2, 150, 5, generator=generator, dtype=torch.float64)
        ratio, low, high = _ratio(0.5 * one, other, _resampling(150))
        assert low < ratio < high
        covered += low < 0.25 < high
    assert covered >= 34  # of 40 at 95 %: fewer has a chance of 0.3 %


def test_weighted_variance_is_that_of_the_rows_drawn() -> None:
    estimates = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = [0, 0, 2, 5, 5, 5]
    shares = torch.bincount(torch.tensor(rows), minlength=6).double()[None] / 6
    expected = estimates[rows].var(0, correction=0).sum()
    assert _variances(estimates, shares).item() == pytest.approx(expected.item())


def test_refuses_too_few_calls(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="calls is 3; it must be 20 or more"):
        supernet_gradients(tiny_recipe(), {"reinforce": Reinforce()}, tmp_path, calls=3)


def test_refuses_too_few_architectures_before_it_searches(tmp_path: Path) -> None:
    recipe = tiny_recipe()
    alone = replace(recipe, search=replace(recipe.search, architectures_per_batch=1))
    cases = {"reinforce": Reinforce(), "rebar_loo": Rebar(leave_one_out=True)}
    with pytest.raises(UserError, match="rebar_loo compares 2 architectures at least, but search"):
        supernet_gradients(alone, cases, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_writes_json_table_and_says_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "tiny:tiny_recipe",
        "--estimator",
        "reinforce_loo_2",
        "--calls",
        "20",
        "--quiet",
        "--out",
        str(tmp_path),
    ]
    assert main(["lab", "estimators", *words]) == 0
    result = json.loads((tmp_path / "estimators.json").read_text())
    assert [row["estimator"] for row in result["rows"]] == ["reinforce", "reinforce_loo_2"]
    assert (tmp_path / "estimators.md").read_text() == markdown(result)
    assert "unas lab estimators tiny:tiny_recipe" in result["command"]
    assert "variance at equal time" in capsys.readouterr().out
