"""Every quantity that the registry finds: its words, its term, its gauge and its files agree."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fake_clock import BLUEPRINT
from unas.budgets import quantities
from unas.budgets.budget import Budget
from unas.budgets.effort import Effort
from unas.budgets.onnx_file import OnnxFile
from unas.budgets.quantities import CountedQuantity
from unas.budgets.steering import steered, steers_toward
from unas.cli import main
from unas.costs.blocks import random_genotypes
from unas.graphs.onnx import export_onnx

NAMES = quantities.names()
COUNTED = [name for name in NAMES if issubclass(quantities.get(name), CountedQuantity)]


def budget_on(name: str) -> Budget:
    return Budget.parse(f"{name}<={quantities.get(name).example}")


@pytest.mark.parametrize("name", NAMES)
def test_its_words_are_complete(name: str) -> None:
    quantity = quantities.get(name)()
    assert quantity.name == name
    assert quantity.label
    assert quantity.units[quantity.base_unit()] == 1
    assert 0 < quantity.aim <= 1
    assert str(budget_on(name)) == f"{name}<={quantity.example}"
    assert quantity.readable(1234.5678).endswith(quantity.base_unit() or "5")


@pytest.mark.parametrize("name", NAMES)
def test_its_term_steers_toward_its_budget_and_no_other(name: str) -> None:
    budget = budget_on(name)
    term = budget.term()
    assert term.most == budget.aim
    assert [other for other in NAMES if steers_toward(term, budget_on(other))] == [name]
    assert steered({}, [budget]) == {name: term}
    twice = budget.limit * 2
    assert term.aimed_at(twice).most == twice
    assert steered({"own": term.aimed_at(twice)}, [budget]) == {"own": term.aimed_at(budget.aim)}


@pytest.mark.parametrize("name", COUNTED)
def test_its_count_is_that_of_the_file(name: str, tmp_path: Path) -> None:
    budget = budget_on(name)
    gauge = budget.gauge(BLUEPRINT, "cpu", Effort())
    assert gauge.is_exact
    for genotype in random_genotypes(BLUEPRINT.space, 3, np.random.default_rng(0)):
        network = BLUEPRINT.network(genotype).eval()
        path = tmp_path / "model.onnx"
        export_onnx(network, BLUEPRINT.image_shape, path, {})
        file = OnnxFile(path, BLUEPRINT.image_shape)
        reading = budget.of_file(file, "cpu", Effort())
        assert reading == gauge(genotype) == gauge.of(network)
        assert reading.low == reading.value == reading.high


def test_help_has_an_example_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit):
        main(["run", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert all(example in words for example in quantities.examples())


def test_their_words_need_no_torch() -> None:
    code = (
        "from unas.budgets import quantities; quantities.examples(); import sys;"
        " assert not {'torch', 'numpy', 'onnx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
