"""`unas lab quality` on the tiny recipe."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

import unas
from tiny import tiny_recipe
from unas.budgets.budget import read_budgets
from unas.cli import main
from unas.common.errors import UserError
from unas.lab.quality import percentile, quality, random_genotypes
from unas.lab.quality_plot import write_plot


def test_percentile_is_the_share_of_worse_cells_with_wilsons_interval() -> None:
    found = percentile(0.9, [0.1 * n for n in range(20)])
    expected = binomtest(9, 20).proportion_ci(method="wilson")
    assert found.value == pytest.approx(0.475)  # nine are lower and one is equal
    assert percentile(0.85, [0.1 * n for n in range(20)]).low == pytest.approx(
        expected.low, abs=1e-6
    )
    assert percentile(0.85, [0.1 * n for n in range(20)]).high == pytest.approx(
        expected.high, abs=1e-6
    )


def test_random_genotypes_are_different_and_always_the_same() -> None:
    config = tiny_recipe()
    drawn = random_genotypes(config, 5)
    assert len(set(drawn)) == 5
    assert drawn == random_genotypes(config, 5)
    for genotype in drawn:
        genotype.check(config.space.choices)


def report_of(seeds: int) -> dict[str, Any]:
    """Return what `quality` would for a search better than two of four random cells, and one worse
    than all.
    """
    accuracies = {
        "found": [0.86] * seeds,
        "reinforce": [0.82] * seeds,
        **{
            f"random-{n}": [0.83 + 0.02 * n + 0.001 * seed for seed in range(seeds)]
            for n in range(4)
        },
    }
    others = [
        float(np.mean(values)) for label, values in accuracies.items() if label.startswith("random")
    ]
    return {
        "cells": 4,
        "seeds": seeds,
        "trainings": seeds,
        "test_accuracy": accuracies,
        "random_median": float(np.median(others)),
        "percentile": {
            label: vars(percentile(accuracies[label][0], others))
            for label in ("found", "reinforce")
        },
    }


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, list[str]]:
    out, lines = tmp_path_factory.mktemp("quality"), list[str]()
    return quality(tiny_recipe(), out, cells=2, seeds=1, quiet=True, say=lines.append), out, lines


def test_each_search_has_its_place_among_cells_that_are_trained_once(tmp_path: Path) -> None:
    config = tiny_recipe()
    config = replace(config, seed=3, training=replace(config.training, epochs=1))
    report = quality(config, tmp_path, 2, 2, trainings=1, quiet=True, say=lambda _: None)
    accuracies = report["test_accuracy"]
    assert [len(accuracies[name]) for name in ("found", "random-0", "random-1")] == [2, 1, 1]
    assert {path.name for path in tmp_path.glob("search-*")} == {"search-found-3", "search-found-4"}
    others = [*accuracies["random-0"], *accuracies["random-1"]]
    expected = [
        np.mean([np.sign(value - other) / 2 + 0.5 for other in others])
        for value in accuracies["found"]
    ]
    assert report["percentile_of_each"]["found"] == pytest.approx(expected)


def test_random_cells_may_be_over_the_budget(tmp_path: Path) -> None:
    config = tiny_recipe()
    sizes = []
    for genotype in random_genotypes(config, 2):
        network = unas.create_network(genotype, 10, 1, channels=4, layers=3)
        sizes.append(unas.count_parameters(network))
    budgets = read_budgets([f"params<={max(sizes) - 1}"])
    config = replace(config, budgets=budgets, training=replace(config.training, epochs=1))
    report = quality(config, tmp_path, cells=2, quiet=True, say=lambda _: None)
    assert [len(report["test_accuracy"][f"random-{n}"]) for n in range(2)] == [1, 1]
    searched = json.loads((tmp_path / "search-found-0" / "summary.json").read_text())
    assert searched["budgets"][0]["passed"]


def test_cells_are_trained_once_and_a_second_call_goes_on(
    measured: tuple[dict[str, Any], Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    report, out, lines = measured
    assert [line.split(",")[0].split(":")[0] for line in lines] == ["found", "random-0", "random-1"]
    trained = {path: path.stat().st_mtime_ns for path in out.glob("train-*/model.safetensors")}
    assert len(trained) == 3
    took = json.loads((out / "seconds.json").read_text())
    assert set(took) == {"search-found-0", *(path.parent.name for path in trained)}
    cells = report["bought"]["cells"]
    ratio = took["search-found-0"] / np.mean([took["train-random-0-0"], took["train-random-1-0"]])
    assert cells == max(1, round(ratio))
    written = json.loads((out / "quality.json").read_text())
    assert written == {name: value for name, value in report.items() if not name.startswith("plot")}
    for name in ("matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    again = quality(tiny_recipe(), out, cells=2, seeds=1, quiet=True, say=lines.append)
    assert again == written | {"plot": None, "plot_missing": again["plot_missing"]}
    assert "pip install 'unas[lab]'" in again["plot_missing"]
    assert trained == {
        path: path.stat().st_mtime_ns for path in out.glob("train-*/model.safetensors")
    }


def test_another_configuration_is_not_given_these_results(
    measured: tuple[dict[str, Any], Path, list[str]],
) -> None:
    _, out, _ = measured
    config = tiny_recipe()
    longer = replace(config, training=replace(config.training, epochs=3))
    with pytest.raises(UserError, match=r"config\.json is not this run's .*use another --out"):
        quality(longer, out, cells=2, seeds=1, quiet=True, say=lambda _: None)


def test_found_cells_come_with_what_would_tell_a_collapse(
    measured: tuple[dict[str, Any], Path, list[str]],
) -> None:
    report, out, _ = measured
    (found,) = report["collapse"]["found"]
    summary = json.loads((out / "search-found-0" / "summary.json").read_text())
    picked = json.loads((out / "search-found-0" / "genotype.json").read_text())["choices"]
    assert found["skip_share"] == list(picked.values()).count("skip_connect") / 16
    assert found["normalised_entropy"] == summary["normalised_entropy"]
    assert set(found["alarms"]) >= set(summary["alarms"])
    shares = [
        list(g.choices.values()).count("skip_connect") / 16
        for g in random_genotypes(tiny_recipe(), 2)
    ]
    assert report["random_skip_share"] == pytest.approx(np.mean(shares))


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_plot_marks_cells_median_and_percentile(seeds: int, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is in the extra 'lab'")
    write_plot(report_of(seeds), tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text()
    assert "test accuracy (%)" in text
    assert "Found cells among 4 random ones" in text
    assert f"searches: {seeds}, trainings of a random cell: {seeds}" in text
    place = binomtest(2, 4).proportion_ci(method="wilson")
    assert (
        f"above 50 % of the random (95 % interval: {100 * place.low:.0f} to {100 * place.high:.0f} %)"
        in text
    )
    assert "reinforce: 82.00 %, above 0 % of the random" in text
    assert f"median of the random, {86.0 + 0.05 * (seeds - 1):.2f} %" in text


def test_the_command_line_shows_alarms_and_where_the_plot_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = {
        "skip_share": 0.75,
        "normalised_entropy": 0.99,
        "alarms": {"skips": "all of them", "unmoved": "nothing"},
    }
    report = report_of(1) | {
        "first_seed": 3,
        "collapse": {"found": [one, {**one, "skip_share": 0.25, "alarms": {}}]},
        "random_skip_share": 0.2,
        "bought": {
            "search_seconds": 130.0,
            "training_seconds": 60.0,
            "cells": 2,
            "test_accuracy": 0.875,
        },
        "plot": "somewhere.png",
    }
    monkeypatch.setattr("unas.cli.lab_quality.measure_quality", lambda *_, **__: report)
    assert main(["lab", "quality", "digits", "--device", "cpu", "--out", str(tmp_path)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert (
        "found, skip connections 50 % of the choices that can be one; of random cells 20 %" in out
    )
    assert "found, seed 3: alarm all of them found, seed 3: alarm nothing" in out
    assert "best of 2 random 87.50 % test accuracy; a search took 2 min 10 s" in out
    assert "plot somewhere.png" in out
