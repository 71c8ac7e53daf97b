"""A quantity and a backend from outside the package, one file each, through all that asks them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import pytest
from torch import nn

import unas
from convolutions import Convolutions
from file_clock import FileClock
from tiny import tiny_recipe
from unas.budgets.budget import Budget, read_budgets
from unas.budgets.onnx_file import OnnxFile
from unas.budgets.quantities import CountedQuantity
from unas.cli import main
from unas.common.errors import UserError
from unas.config.document import config_from_json, config_to_json
from unas.costs.blocks import random_genotypes
from unas.objectives import CountOf

NAME = "convolutions:Convolutions"
TRUST = ["--trust", "tiny:TinyDigits"]


def convolutions(network: nn.Module) -> int:
    """Return how often a convolution runs, which every one of a DARTS network does once."""
    calls: list[nn.Module] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda conv, *_: calls.append(conv))
    unas.count_macs(network, (1, 8, 8))
    return len(calls)


def median_of_random() -> int:
    space = tiny_recipe().space
    drawn = random_genotypes(space, 9, np.random.default_rng(0))
    networks = [unas.create_network(g, 10, 1, channels=4, layers=3) for g in drawn]
    return int(np.median([convolutions(network) for network in networks]))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that had to have fewer convolutions than half of the architectures have."""
    out = tmp_path_factory.mktemp("runs") / "run"
    budgets = ["--budget", f"{NAME}<={median_of_random() - 4}"]
    budgets += ["--budget", "latency<=1s@file_clock:FileClock"]
    assert main(["run", "tiny:tiny_recipe", "--quiet", "--out", str(out), *budgets]) == 0
    return out


def test_the_search_is_steered_and_the_file_is_judged(run: Path) -> None:
    verdict, latency = json.loads((run / "summary.json").read_text())["budgets"]
    nodes = [node.op_type for node in onnx.load(run / "model.onnx").graph.node]
    assert verdict["passed"]
    assert verdict["value"] == nodes.count("Conv") <= verdict["limit"]
    assert (verdict["quantity"], verdict["unit"]) == ("convolutions", "")
    assert verdict["line"].startswith(f"PASS {NAME}<=")
    assert latency["value"] == (run / "model.onnx").stat().st_size / 1e3
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    expected = [
        entry["expected_convolutions"] for entry in logged if "expected_convolutions" in entry
    ]
    assert expected[0] > verdict["limit"]
    assert expected[-1] < expected[0]


def test_the_report_draws_it(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert "Expected convolutions" in page
    assert f"{NAME} ≤ " in page


def test_a_file_does_not_have_it_imported(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["export", str(run), *TRUST]
    assert main(words) == 2
    assert f"{NAME!r} is code from outside unas; if you trust it, add --trust {NAME}" in (
        capsys.readouterr().err
    )
    words += ["--trust", NAME]
    assert main(words) == 2
    assert "add --trust file_clock:FileClock" in capsys.readouterr().err
    before = json.loads((run / "summary.json").read_text())["budgets"]
    assert main([*words, "--trust", "file_clock:FileClock"]) == 0
    assert json.loads((run / "summary.json").read_text())["budgets"] == before


def test_a_run_goes_on_when_it_is_named_again(run: Path) -> None:
    budgets = json.loads((run / "config.json").read_text())["budgets"]
    words = ["run", "--resume", "--quiet", "--out", str(run), *TRUST]
    assert main([*words, *(word for text in budgets for word in ("--budget", text))]) == 0


def test_a_file_is_checked(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["latency", "check", str(run / "model.onnx"), "--budget"]
    (verdict, _) = json.loads((run / "summary.json").read_text())["budgets"]
    assert main([*words, f"{NAME}<={verdict['value']}"]) == 0
    assert main([*words, f"{NAME}<={verdict['value'] - 1}"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["PASS", "FAIL"]


def test_what_nothing_meets_is_refused_before_the_search(tmp_path: Path) -> None:
    config = replace(tiny_recipe(), budgets=read_budgets([f"{NAME}<=1"]))
    with pytest.raises(UserError, match=rf"budget {NAME}<=1: the least possible is \d+, of the"):
        unas.search(config, tmp_path / "run", quiet=True)
    assert not list(tmp_path.iterdir())


def test_its_term_needs_no_file_of_its_own() -> None:
    budget = Budget.parse(f"{NAME}<=2k")
    assert budget.term() == CountOf(weight=10.0, limit=2000.0, of=Convolutions())


def test_its_term_has_no_flags(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "tiny:tiny_recipe", "--dry-run", "--budget", f"{NAME}<=12"]
    assert main([*words, "--search.objectives.convolutions.weight", "3"]) == 2
    assert "--search.objectives.convolutions.weight" in capsys.readouterr().err


def test_budgets_from_outside_survive_their_json() -> None:
    texts = [f"{NAME}<=12", "latency<=8ms@file_clock:FileClock"]
    config = replace(tiny_recipe(), budgets=read_budgets(texts))
    text = config_to_json(config)
    assert json.loads(text)["budgets"] == texts
    trusted = ["tiny:TinyDigits", NAME, "file_clock:FileClock"]
    assert config_from_json(text, trusted=trusted) == config
    assert config.budgets[1].backend == FileClock()


class Macs(Convolutions):
    """A quantity that would be mistaken for one of the package."""

    name: ClassVar[str] = "macs"


class NoName(CountedQuantity):
    """A quantity that says nothing."""

    def count(self, network: nn.Module, image_shape: tuple[int, int, int]) -> float:  # noqa: ARG002
        return 0

    def count_file(self, file: OnnxFile) -> float:  # noqa: ARG002
        return 0


def test_a_quantity_that_is_not_whole_gives_one_line() -> None:
    with pytest.raises(UserError, match=r"AttributeError: .* has no attribute 'name'"):
        Budget.parse(f"{__name__}:NoName<=12")
    with pytest.raises(UserError, match="TypeError: Can't instantiate abstract class"):
        Budget.parse("unas.budgets.quantities:CountedQuantity<=12")


def test_a_name_of_the_package_is_taken() -> None:
    with pytest.raises(UserError, match="is called 'macs'; give it a name of its own"):
        Budget.parse(f"{__name__}:Macs<=12")
