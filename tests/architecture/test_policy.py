from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributions import Categorical

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Policy, Sample
from unas.common.errors import UserError
from unas.estimators import draw_hard, draw_relaxed

CHOICES = {
    "normal/node1/op0": ("conv", "skip", "pool"),
    "kernel": ("3", "5"),
    "normal/node1/op1": ("conv", "skip", "pool"),
    "width": ("16", "24", "32", "48"),
}


def make_policy(softening: float = 0.0, scale: float = 1.5) -> Policy:
    policy = Policy(CHOICES, softening, space="toy").double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for logits in policy.logits.values():
            logits.copy_(scale * torch.randn(len(logits), generator=generator))
    return policy


def reference(policy: Policy) -> dict[str, Categorical]:
    return {
        name: Categorical(logits.softmax(-1) + policy.softening)
        for name, logits in policy.logits.items()
    }


def test_starts_uniform_with_one_parameter_a_choice() -> None:
    policy = Policy(CHOICES)
    assert {name: len(logits) for name, logits in policy.logits.items()} == {
        n: len(o) for n, o in CHOICES.items()
    }
    assert all(
        parameter.dtype == torch.float32 and not parameter.any()
        for parameter in policy.parameters()
    )
    assert policy.choices == CHOICES
    assert policy.entropy().item() == pytest.approx(math.log(3 * 2 * 3 * 4))
    assert policy.probabilities()["width"] == pytest.approx(dict.fromkeys(CHOICES["width"], 0.25))


@pytest.mark.parametrize("softening", [0.0, 0.08, 2.0])
def test_log_prob_and_its_gradient_equal_torch_distributions(softening: float) -> None:
    policy = make_policy(softening)
    sample = draw_hard(policy, 50, torch.Generator().manual_seed(1))
    found = policy.log_prob(sample)
    expected = sum(d.log_prob(sample[name].argmax(1)) for name, d in reference(policy).items())
    assert found.shape == (50,)
    torch.testing.assert_close(found, expected)
    parameters = list(policy.parameters())
    gradients = (
        torch.autograd.grad(value.square().sum(), parameters) for value in (found, expected)
    )
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("softening", [0.0, 0.08, 2.0])
def test_entropy_and_its_gradient_equal_torch_distributions(softening: float) -> None:
    policy = make_policy(softening)
    found = policy.entropy()
    expected = sum(d.entropy() for d in reference(policy).values())
    torch.testing.assert_close(found, expected)
    parameters = list(policy.parameters())
    gradients = (torch.autograd.grad(value, parameters) for value in (found, expected))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("softening", [0.0, 0.08])
def test_probabilities_equal_torch_distributions(softening: float) -> None:
    policy = make_policy(softening)
    for name, distribution in reference(policy).items():
        expected = dict(zip(CHOICES[name], distribution.probs.tolist(), strict=True))
        assert policy.probabilities()[name] == pytest.approx(expected)


@pytest.mark.parametrize("softening", [0.0, 0.08])
@pytest.mark.parametrize("size", [100.0, 1000.0])
def test_nearly_decided_policies_have_finite_gradients(softening: float, size: float) -> None:
    policy = Policy({"c": ("a", "b", "d")}, softening)
    with torch.no_grad():
        policy.logits["c"].copy_(torch.tensor([size, 0.0, -size]))
    rows = [Genotype("module", {"c": option}) for option in "abd"]
    value = policy.entropy() + policy.log_prob(Sample.from_genotypes(policy.layout, rows)).sum()
    value.backward()
    assert value.isfinite()
    assert policy.logits["c"].grad.isfinite().all()


def test_mode_is_the_most_probable_option_and_the_first_of_equals() -> None:
    policy = Policy({"a": ("x", "y", "z"), "b": ("u", "v")})
    assert policy.mode() == {"a": "x", "b": "u"}
    with torch.no_grad():
        policy.logits["a"].copy_(torch.tensor([-1.0, 0.5, 0.5]))
        policy.logits["b"].copy_(torch.tensor([-0.1, 0.0]))
    assert policy.mode() == {"a": "y", "b": "v"}


def test_state_dict_round_trip(tmp_path: Path) -> None:
    policy, other = make_policy(0.08), Policy(CHOICES, 0.08).double()
    torch.save(policy.state_dict(), tmp_path / "policy.pt")
    other.load_state_dict(torch.load(tmp_path / "policy.pt", weights_only=True))
    assert other.probabilities() == policy.probabilities()
    assert set(policy.state_dict()) == {f"logits.{name}" for name in CHOICES}


def test_sample_gives_each_choice_its_own_weights_in_the_order_of_the_architectures() -> None:
    rows = [
        dict(zip(CHOICES, options, strict=True))
        for options in [
            ("conv", "5", "pool", "48"),
            ("skip", "3", "conv", "16"),
            ("pool", "3", "skip", "32"),
        ]
    ]
    sample = Sample.from_genotypes(Policy(CHOICES).layout, [Genotype("toy", row) for row in rows])
    assert len(sample) == 3
    assert sample.is_hard
    for name, options in CHOICES.items():
        assert sample[name].shape == (3, len(options))
        for g, row in enumerate(rows):
            assert sample[name][g].tolist() == [float(option == row[name]) for option in options]
        assert sample.picks[name] == [options.index(row[name]) for row in rows]


def test_genotypes_round_trip() -> None:
    policy = make_policy()
    sample = draw_hard(policy, 40, torch.Generator().manual_seed(2))
    genotypes = sample.genotypes()
    assert all(genotype.space == "toy" for genotype in genotypes)
    again = Sample.from_genotypes(policy.layout, iter(genotypes))
    for name in CHOICES:
        assert torch.equal(again[name].double(), sample[name])
    assert again.genotypes() == genotypes
    assert len(set(genotypes)) > 1


def test_a_relaxed_sample_gives_the_genotypes_of_its_hard_one() -> None:
    policy = make_policy()
    relaxed = draw_relaxed(policy, 40, 0.4, torch.Generator().manual_seed(3))
    hard = draw_hard(policy, 40, torch.Generator().manual_seed(3))
    assert relaxed.genotypes() == hard.genotypes()
    assert relaxed["kernel"].requires_grad
    assert not relaxed.detach()["kernel"].requires_grad
    assert torch.equal(relaxed.detach()["kernel"], relaxed["kernel"])


def test_a_moved_hard_sample_knows_its_picks_without_its_weights() -> None:
    sample = draw_hard(make_policy(), 5, torch.Generator().manual_seed(4))
    moved = sample.to(torch.device("meta"))  # a device that nothing can be read from
    assert moved["kernel"].device.type == "meta"
    assert moved.genotypes() == sample.genotypes()


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, "choices is empty"),
        ({"": ("a", "b")}, "choice ''"),
        ({"node.1": ("a", "b")}, "choice 'node.1'"),
        ({"keys": ("a", "b")}, "choice 'keys'"),
        ({"training": ("a", "b")}, "choice 'training'"),
        ({"op": ()}, "give at least one"),
        ({"op": ("a", "b", "a")}, "each once"),
    ],
)
def test_refuses_choices_it_cannot_hold(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Policy(choices)


@pytest.mark.parametrize("softening", [-0.01, float("nan"), float("inf")])
def test_refuses_an_impossible_softening(softening: float) -> None:
    with pytest.raises(UserError, match="softening is"):
        Policy(CHOICES, softening)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel": "7"}, r"'7'; the toy space has 3, 5"),
        ({"depth": "2"}, "'depth' is not a choice"),
    ],
)
def test_refuses_a_genotype_of_other_choices(change: dict[str, str], message: str) -> None:
    genotype = Genotype("toy", {name: options[0] for name, options in CHOICES.items()} | change)
    with pytest.raises(UserError, match=message):
        Sample.from_genotypes(Policy(CHOICES).layout, [genotype])
