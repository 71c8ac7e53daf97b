"""The terms by hand."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from unas.architecture.policy import Policy, Sample
from unas.common.errors import UserError
from unas.estimators import draw_hard, draw_relaxed
from unas.nn.choice import OpChoice
from unas.objectives import Evaluation
from unas.objectives.cross_entropy import CrossEntropy
from unas.objectives.generalisation_gap import GeneralisationGap
from unas.objectives.overlap import Overlap
from unas.spaces.darts import DartsSpace
from unas.spaces.module import ModuleSpace

SPACE = DartsSpace(channels=2, layers=3, operations=4)


def losses(num_architectures: int) -> Evaluation:
    policy = Policy({"a": ("x", "y")})
    train, validation = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([2.0, 0.0, 5.0, 9.0])
    return Evaluation(SPACE, draw_hard(policy, num_architectures), train, validation)


@pytest.mark.parametrize(
    ("gap", "num_architectures", "expected"),
    [
        ("instance", 1, [(1 + 2 + 2 + 5) / 4]),
        ("instance", 2, [(1 + 2) / 2, (2 + 5) / 2]),
        ("instance", 4, [1, 2, 2, 5]),
        ("group", 1, [16 / 4 - 10 / 4]),
        ("group", 2, [3 / 2 - 2 / 2, 14 / 2 - 7 / 2]),
        ("group", 4, [1, 2, 2, 5]),
    ],
)
def test_generalisation_gap(gap: str, num_architectures: int, expected: list[float]) -> None:
    assert GeneralisationGap(gap=gap)(losses(num_architectures)).tolist() == expected  # type: ignore[arg-type]


def test_gap_of_another_kind_is_refused() -> None:
    with pytest.raises(UserError, match="gap is 'image'; it must be instance or group"):
        GeneralisationGap(gap="image")  # type: ignore[arg-type]


def test_cross_entropy_is_the_mean_of_the_architectures_own_images() -> None:
    assert CrossEntropy()(losses(2)).tolist() == [1.5, 3.5]


def overlap_by_hand(sample: Sample, g: int) -> float:
    """Σ_nodes Σ_{j,o} a⁰_{j,o}·a¹_{j,o}, a^s_{j,o} = input^s_j·op^s_o (docs/deviations.md,
    `overlap`).
    """
    total = 0.0
    for cell, node in product(("normal", "reduction"), range(4)):
        for j, o in product(range(node + 2), range(4)):
            slots = [
                float(sample[f"{cell}/node{node}/input{s}"][g, j])
                * float(sample[f"{cell}/node{node}/op{s}"][g, o])
                for s in (0, 1)
            ]
            total += slots[0] * slots[1]
    return total


@pytest.mark.parametrize("is_hard", [False, True])
def test_overlap_is_its_double_sum(is_hard: bool) -> None:
    policy, generator = Policy(SPACE.choices).double(), torch.Generator().manual_seed(1)
    sample = (
        draw_hard(policy, 5, generator)
        if is_hard
        else draw_relaxed(policy, 5, 0.4, generator).detach()
    )
    found = Overlap()(Evaluation(SPACE, sample, torch.zeros(5), None))
    torch.testing.assert_close(
        found, torch.tensor([overlap_by_hand(sample, g) for g in range(5)], dtype=torch.float64)
    )


def test_overlap_of_a_hard_sample_counts_the_nodes_whose_slots_are_equal() -> None:
    policy = Policy(SPACE.choices)
    sample = draw_hard(policy, 64, torch.Generator().manual_seed(2))
    counts = [
        sum(
            all(
                g.choices[f"{cell}/node{n}/{what}0"] == g.choices[f"{cell}/node{n}/{what}1"]
                for what in ("input", "op")
            )
            for cell, n in product(("normal", "reduction"), range(4))
        )
        for g in sample.genotypes()
    ]
    assert len(set(counts)) > 1
    assert Overlap()(Evaluation(SPACE, sample, torch.zeros(64), None)).tolist() == counts


def test_overlap_is_refused_where_there_are_no_slots() -> None:
    space = ModuleSpace(nn.Sequential(OpChoice({"a": nn.Identity(), "b": nn.ReLU()})))
    Overlap().check(SPACE)
    with pytest.raises(
        UserError, match="objective Overlap means nothing in the module space; leave this term out"
    ):
        Overlap().check(space)
    CrossEntropy().check(space)
    with pytest.raises(UserError, match="objective Overlap"):
        Overlap()(SimpleNamespace(space=space, sample=None))  # type: ignore[arg-type]
