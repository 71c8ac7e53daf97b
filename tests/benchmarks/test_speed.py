"""What the benchmarks of speed compare with, and what they make of their figures."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import unas
from plain_supernet import copy_parameters
from unas.architecture.published import load_genotype
from unas.estimators import draw_relaxed
from unas.estimators.gumbel_softmax import GumbelSoftmax
from unas.searching.config import SearchConfig
from unas.spaces.darts import DartsSpace

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from speed.arithmetic import META, of_forward, of_search_step, of_training
from speed.plain_network import PlainNetwork
from speed.section import Section, put_into
from speed.turns import Turns, in_turn


def test_the_usual_loop_trains_the_same_network() -> None:
    genotype = load_genotype("UNAS_CIFAR10")
    plain = PlainNetwork(genotype, 4, 3, 10, 3)
    ours = DartsSpace().network(genotype, 10, channels=4, layers=3, auxiliary=False, drop_path=0.0)
    copy_parameters(ours, plain)
    images = torch.randn(4, 3, 16, 16)
    torch.testing.assert_close(plain(images), ours(images), rtol=1e-4, atol=1e-4)


def test_operations_and_bytes_are_those_on_paper() -> None:
    layer = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    amount = of_forward(layer.to("meta"), torch.empty(2, 3, 6, 6, device="meta"))
    assert amount.operations == 2 * 2 * 36 * 8 * 27
    assert amount.num_bytes == 4 * (2 * 3 * 36 + 8 * 27 + 2 * 8 * 36)
    assert of_training(layer, torch.empty(2, 3, 6, 6)).operations == 3 * amount.operations


def test_a_relaxed_step_is_six_times_a_forward() -> None:
    """Both batches forward and back through the images, one of them back to the weights."""
    recipe = unas.recipe("digits")
    search = SearchConfig(estimator=GumbelSoftmax())  # its gap is of both batches
    step = unas.search_step(replace(recipe, search=search), device="cpu")
    x, x_val = torch.randn(2, 8, 1, 8, 8)
    y, y_val = torch.randint(0, 10, (2, 8))
    seen = of_search_step(step, (x, y, x_val, y_val))
    relaxed = draw_relaxed(step.policy, 8, 1.0, torch.Generator()).detach().to(META)
    forward = of_forward(copy.deepcopy(step.supernet).to(META), x.to(META), relaxed)
    assert seen.operations == 6 * forward.operations
    assert {weight.device.type for weight in step.weights} == {"cpu"}


def test_a_ratio_is_of_the_same_round() -> None:
    turns = Turns({"slow": [2.0, 30.0, 4.0], "fast": [1.0, 10.0, 1.0]})
    assert turns.ratios("fast", "slow") == [2.0, 3.0, 4.0]
    assert turns.cells("fast", "slow") == ("1.000 s", "**3.00**", "2.00 to 4.00")
    assert turns.cells("slow", "fast", is_duration=True)[1] == "**3.00**"


def test_everything_runs_once_more_than_it_is_timed(capsys: pytest.CaptureFixture[str]) -> None:
    order = []

    def timed(name: str) -> float:
        order.append(name)
        return float(len(order))

    turns = in_turn({"a": lambda: timed("a"), "b": lambda: timed("b")}, 2)
    assert order == ["a", "b"] * 3
    assert turns.seconds == {"a": [3.0, 5.0], "b": [4.0, 6.0]}
    assert capsys.readouterr().out.count("pair") == 2


def test_a_section_takes_the_place_of_its_former_self(tmp_path: Path) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("# Benchmarks\n\nBy hand.\n")
    for figure in ("1.5", "2.5"):
        table = Section("Speed", "In turn.", ("", "ratio"), [("a", figure)])
        put_into(document, "speed", table.markdown("A machine.", ["all.py"], document))
    text = document.read_text()
    assert text.startswith("# Benchmarks\n\nBy hand.\n")
    assert text.count("## Speed") == 1
    assert "| a | 2.5 |" in text
    assert "1.5" not in text
