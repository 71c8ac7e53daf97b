"""Draws in which each option comes as often as it is probable."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from unas.architecture.policy import Policy
from unas.searching.balanced import draw_balanced

CHOICES = {"a": ("x", "y", "z"), "b": ("x", "y", "z"), "c": ("on", "off"), "d": ("only",)}


def policy(seed: int | None = None) -> Policy:
    """Return a policy, uniform without a seed."""
    drawn = Policy(CHOICES)
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for logits in drawn.logits.values():
                logits.copy_(2 * torch.randn(len(logits), generator=generator))
    return drawn


@pytest.mark.parametrize("num_samples", [1, 2, 6, 7, 48])
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_options_come_as_often_as_they_are_probable(num_samples: int, seed: int | None) -> None:
    drawn_from = policy(seed)
    sample = draw_balanced(drawn_from, num_samples, torch.Generator().manual_seed(3))
    assert sample.is_hard
    assert len(sample) == num_samples
    for name, probabilities in drawn_from.probabilities().items():
        counts = Counter(genotype.choices[name] for genotype in sample.genotypes())
        for option, probability in probabilities.items():
            expected = num_samples * probability
            assert math.floor(expected - 1e-9) <= counts[option] <= math.ceil(expected + 1e-9)


def test_uniform_policy_picks_every_option_equally_often() -> None:
    sample = draw_balanced(policy(), 12, torch.Generator().manual_seed(0))
    for name, options in CHOICES.items():
        counts = Counter(genotype.choices[name] for genotype in sample.genotypes())
        assert set(counts.values()) == {12 // len(options)}


def test_each_architecture_by_itself_is_a_draw_from_the_policy() -> None:
    drawn_from = policy(2)
    generator = torch.Generator().manual_seed(4)
    calls = 4000
    counts: Counter[tuple[str, str]] = Counter()
    for _ in range(calls):
        second = draw_balanced(drawn_from, 3, generator).genotypes()[1].choices
        counts[second["a"], second["b"]] += 1
    probabilities = drawn_from.probabilities()
    for first, p in probabilities["a"].items():
        for second_option, q in probabilities["b"].items():
            expected = p * q
            error = math.sqrt(expected * (1 - expected) / calls)
            assert counts[first, second_option] / calls == pytest.approx(expected, abs=5 * error)


def test_same_generator_same_draw() -> None:
    draws = [
        draw_balanced(policy(1), 5, torch.Generator().manual_seed(9)).genotypes() for _ in range(2)
    ]
    assert draws[0] == draws[1]
