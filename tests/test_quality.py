"""`unas lab quality` on the tiny recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scipy.stats import binomtest

from tiny import tiny_recipe
from unas.lab.quality import percentile, quality, random_genotypes


def test_percentile_is_the_share_of_worse_cells_with_wilsons_interval() -> None:
    found = percentile(0.9, [0.1 * n for n in range(20)])
    expected = binomtest(9, 20).proportion_ci(method="wilson")
    assert found.value == pytest.approx(0.475)  # nine are lower and one is equal
    assert percentile(0.85, [0.1 * n for n in range(20)]).low == pytest.approx(expected.low, abs=1e-6)
    assert percentile(0.85, [0.1 * n for n in range(20)]).high == pytest.approx(expected.high, abs=1e-6)


def test_random_genotypes_are_different_and_always_the_same() -> None:
    config = tiny_recipe()
    drawn = random_genotypes(config, 5)
    assert len(set(drawn)) == 5
    assert drawn == random_genotypes(config, 5)
    for genotype in drawn:
        genotype.check(config.space.choices)


def test_cells_are_trained_once_and_a_second_call_goes_on(tmp_path: Path) -> None:
    lines: list[str] = []
    report = quality(tiny_recipe(), tmp_path, cells=2, seeds=1, quiet=True, say=lines.append)
    assert [line.split(",")[0].split(":")[0] for line in lines] == ["found", "random-0", "random-1"]
    trained = {path: path.stat().st_mtime_ns for path in tmp_path.glob("train-*/model.safetensors")}
    assert len(trained) == 3
    again = quality(tiny_recipe(), tmp_path, cells=2, seeds=1, quiet=True, say=lines.append)
    assert again == report == json.loads((tmp_path / "quality.json").read_text())
    assert trained == {path: path.stat().st_mtime_ns for path in tmp_path.glob("train-*/model.safetensors")}
