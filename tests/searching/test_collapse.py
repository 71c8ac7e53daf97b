"""What tells a collapsed search from a sound one, and a search that says so."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import binom
from torch import Tensor, nn

import unas
from planted import planted
from tiny import tiny_recipe
from unas.architecture.genotype import Genotype
from unas.architecture.policy import Policy
from unas.common.errors import UserError
from unas.nn.choice import OpChoice
from unas.objectives import Evaluation, Objective, Term
from unas.searching.collapse import Collapse, Tally, at_least, collapse
from unas.searching.config import AdamConfig
from unas.spaces.darts import DartsSpace
from unas.spaces.module import ModuleSpace


def darts_with(normal: int, reduction: int, space: DartsSpace) -> Genotype:
    """Return an architecture that skips in so many slots of each cell."""
    picked = {name: options[0] for name, options in space.choices.items()}
    for cell, count in (("normal", normal), ("reduction", reduction)):
        names = [name for name in space.choices if name.startswith(f"{cell}/") and "/op" in name]
        picked |= {
            name: "skip_connect" if n < count else "sep_conv_3x3" for n, name in enumerate(names)
        }
    return Genotype("darts", picked)


def test_tails_are_those_of_every_outcome_counted() -> None:
    chances = [0.2, 0.5, 1 / 7, 0.9]
    expected = [0.0] * 5
    for events in itertools.product((0, 1), repeat=4):
        p = math.prod(
            chance if event else 1 - chance for event, chance in zip(events, chances, strict=True)
        )
        for count in range(sum(events) + 1):
            expected[count] += p
    assert at_least(chances) == pytest.approx(expected)
    assert at_least([1 / 7] * 16) == pytest.approx(binom.sf(range(-1, 16), 16, 1 / 7))


@pytest.mark.parametrize("operations", [4, 5, 7])
def test_a_random_architecture_raises_an_alarm_with_less_than_1_percent(operations: int) -> None:
    space = DartsSpace(operations=operations)
    weights = binom.pmf(range(9), 8, 1 / operations)
    probability = sum(
        weights[normal] * weights[reduction]
        for normal, reduction in itertools.product(range(9), repeat=2)
        if collapse(space, darts_with(normal, reduction, space)).alarms()
    )
    assert 0.001 < probability < 0.01


def test_the_threshold_is_the_least_improbable_number_of_each_cell_and_of_both() -> None:
    skips = collapse(DartsSpace(), unas.load_genotype("UNAS_CIFAR10")).skips
    # Counted by hand: the skip connection is in two slots of each published cell.
    assert {group: (found.taken, found.choices) for group, found in skips.items()} == {
        "normal": (2, 8), "reduction": (2, 8), "all": (4, 16),
    }  # fmt: skip
    for found in skips.values():
        assert found.alarm_from is not None
        assert binom.sf(found.alarm_from - 1, found.choices, 1 / 7) < 0.01 / 3
        assert binom.sf(found.alarm_from - 2, found.choices, 1 / 7) >= 0.01 / 3
        assert not found.is_improbable


def test_a_cell_of_skips_is_an_alarm_that_names_it() -> None:
    space = DartsSpace()
    assert collapse(space, darts_with(4, 1, space)).alarms() == {}
    says = collapse(space, darts_with(5, 1, space)).alarms()["skips"]
    assert says.startswith(
        "the architecture takes a skip connection in 5 of 8 normal choices; a random architecture"
    )
    both = collapse(space, darts_with(4, 4, space)).alarms()[
        "skips"
    ]  # neither cell alone is improbable
    assert "8 of 16 choices" in both


def test_shares_and_entropy_of_a_policy() -> None:
    space = DartsSpace(operations=4)
    policy = Policy(space.choices, space=space.registry_name)
    even = collapse(space, policy)
    assert even.normalised_entropy == pytest.approx(1)
    assert even.skips["all"].expected == pytest.approx(16 / 4)
    with torch.no_grad():
        policy.logits["normal/node0/op0"].copy_(
            torch.tensor([7.0, 1.0, 1.0, 1.0]).log()
        )  # skips with p = 0.7
        policy.logits["normal/node0/op1"].copy_(
            torch.tensor([1.0, 2.0, 1.0, 1.0]).log()
        )  # with p = 0.2
    found = collapse(space, policy)
    assert found.skips["normal"].expected == pytest.approx(0.7 + 0.2 + 6 / 4)
    assert even.skips["normal"].taken - found.skips["normal"].taken == 1
    own = -(0.7 * math.log(0.7) + 0.3 * math.log(0.1)) - (0.4 * math.log(0.4) + 0.6 * math.log(0.2))
    most = sum(math.log(len(options)) for options in space.choices.values())
    assert found.normalised_entropy == pytest.approx((most - 2 * math.log(4) + own) / most)
    assert found.figures() == {
        "skip_share": 15 / 16,
        "expected_skip_share": pytest.approx((0.7 + 0.2 + 14 / 4) / 16),
        "normalised_entropy": found.normalised_entropy,
    }


def test_a_space_without_skips_has_no_share() -> None:
    space = ModuleSpace(planted)
    found = collapse(space, Policy(space.choices))
    assert found.skips == {}
    assert found.figures() == {"normalised_entropy": pytest.approx(1)}


def test_one_choice_with_a_skip_can_prove_nothing() -> None:
    space = ModuleSpace(lambda: nn.Sequential(OpChoice({"conv": nn.ReLU(), "skip": nn.Identity()})))
    found = collapse(space, Genotype("module", {"0": "skip"}))
    assert found.skips == {"all": Tally(choices=1, taken=1, expected=1, alarm_from=None)}
    assert found.alarms() == {}


def test_a_space_of_one_architecture_has_no_entropy() -> None:
    space = ModuleSpace(lambda: nn.Sequential(OpChoice({"skip": nn.Identity()})))
    assert collapse(space, Policy(space.choices)).normalised_entropy is None


def test_an_architecture_of_another_space_is_refused() -> None:
    with pytest.raises(UserError, match="is not a choice"):
        collapse(DartsSpace(), Genotype("module", {"layer": "conv"}))


@pytest.mark.parametrize(
    ("entropy", "done", "raised"),
    [
        (0.049, 0.4, {"sure"}), (0.051, 0.4, set()), (0.049, 0.5, set()),
        (0.981, 0.9, set()), (0.981, 1.0, {"unmoved"}), (0.979, 1.0, set()), (None, 1.0, set()),
    ],
)  # fmt: skip
def test_entropy_is_an_alarm_where_it_should_not_be(
    entropy: float | None, done: float, raised: set[str]
) -> None:
    assert set(Collapse("the policy's mode", {}, entropy).alarms(done)) == raised


def test_skips_are_an_alarm_in_the_second_half() -> None:
    found = Collapse("the policy's mode", {"all": Tally(8, 5, 4.0, 5)}, 0.5)
    assert found.alarms(0.49) == {}
    assert set(found.alarms(0.5)) == {"skips"}


def test_options_without_weights_are_an_alarm_where_skips_alone_are_none() -> None:
    space = DartsSpace()  # 3 of 7 operations have no weights
    weightless = ("max_pool_3x3", "avg_pool_3x3", "skip_connect", "max_pool_3x3") * 2
    names = [name for name in space.choices if name.startswith("normal/") and "/op" in name]
    picked = {name: options[0] for name, options in space.choices.items()}
    picked |= {name: "sep_conv_3x3" for name in picked if "/op" in name}
    picked |= dict(zip(names, weightless, strict=True))
    found = collapse(space, Genotype("darts", picked))
    tally = found.weightless["normal"]
    assert (tally.taken, tally.choices, tally.alarm_from) == (8, 8, 8)
    assert binom.sf(7, 8, 3 / 7) < 0.01 / 3 < binom.sf(6, 8, 3 / 7)
    assert set(found.alarms()) == {"weightless"}
    says = found.alarms()["weightless"]
    assert "an option without weights (skip, pooling or none) in 8 of 8 normal choices" in says


@dataclass(frozen=True)
class PrefersSkips(Objective):
    """A cost that leads into the collapse."""

    def __call__(self, evaluation: Evaluation) -> Tensor:
        names = [name for name in evaluation.space.choices if "/op" in name]
        return -torch.stack([evaluation.sample[name][:, 0] for name in names]).sum(0)


def search(out: Path, lr: float, *, quiet: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    config = tiny_recipe()
    policy = AdamConfig(lr=lr, final_lr=lr, weight_decay=0.0)
    terms: dict[str, Term] = {"skips": PrefersSkips()}
    config = replace(
        config, search=replace(config.search, epochs=4, policy=policy, objectives=terms)
    )
    summary = unas.search(config, out, quiet=quiet).summary
    return summary, json.loads((out / "policy.json").read_text())


def test_a_search_that_collapses_says_so_once_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary, epochs = search(tmp_path, lr=10.0, quiet=False)
    # One epoch of warm-up, then four: the first is over at a quarter, the second at a half.
    assert [sorted(epoch["alarms"]) for epoch in epochs] == [[], ["sure"], ["skips"], [], []]
    assert set(summary["alarms"]) == {"sure", "skips", "chance"}  # 24 images tell nothing apart
    assert summary["alarms"]["sure"].startswith("epoch 2: the policy is sure too early")
    assert summary["alarms"]["skips"].startswith(
        "epoch 3: the policy's mode takes a skip connection in "
    )
    assert summary["skip_share"] >= 0.5
    assert summary["normalised_entropy"] < 0.05
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("alarm: ")]
    assert [line.partition(": ")[2] for line in told] == [
        *(text for epoch in epochs for text in epoch["alarms"].values()),
        summary["alarms"]["chance"],
    ]


def test_a_search_that_learns_nothing_says_so_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary, epochs = search(tmp_path, lr=1e-4, quiet=True)
    assert [set(epoch["alarms"]) & {"unmoved", "sure"} for epoch in epochs] == [set()] * 4 + [
        {"unmoved"}
    ]
    assert summary["alarms"]["unmoved"].startswith("epoch 5: the policy has learned nothing")
    assert capsys.readouterr().err == ""


def test_the_log_has_shares_and_entropy_after_every_epoch(finished: unas.Result) -> None:
    lines = [
        json.loads(line) for line in (finished.directory / "metrics.jsonl").read_text().splitlines()
    ]
    with_shares = [line for line in lines if "skip_share" in line]
    assert [(line["phase"], line["step"]) for line in with_shares] == [
        ("search", 6),
        ("search", 9),
    ]  # 3 warm up
    epochs = json.loads((finished.directory / "policy.json").read_text())[1:]
    for line, epoch in zip(with_shares, epochs, strict=True):
        operations = [p for name, p in epoch["probabilities"].items() if "/op" in name]
        assert line["expected_skip_share"] == pytest.approx(
            sum(p["skip_connect"] for p in operations) / 16
        )
        modes = [max(p, key=p.__getitem__) for p in operations]
        assert line["skip_share"] == modes.count("skip_connect") / 16
        most = sum(math.log(len(p)) for p in epoch["probabilities"].values())
        assert line["normalised_entropy"] == pytest.approx(line["entropy"] / most)
    picked = [option for name, option in finished.genotype.choices.items() if "/op" in name]
    assert finished.summary["skip_share"] == picked.count("skip_connect") / 16
