"""The predictor against enumeration, finite differences and costs that we made ourselves."""

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Policy, Sample
from unas.common.errors import UserError
from unas.costs.blocks import random_genotypes
from unas.latency.fitting import fit_predictor
from unas.latency.predictor import Predictor
from unas.latency.predictor_files import load_predictor
from unas.latency.timing import Timing
from unas.nn.choice import InputChoice, OpChoice
from unas.spaces import ModuleSpace, NetworkOptions
from unas.spaces.darts import DartsNetworkOptions, DartsSpace

SPACE = DartsSpace(operations=3)
NETWORK = DartsNetworkOptions(channels=4, layers=3)
COST = {"skip_connect": 0.0, "sep_conv_3x3": 3.0, "max_pool_3x3": 1.0}


def true_cost(genotype: Genotype) -> float:
    """Return milliseconds that depend on operations, and in a reduction cell on what they read."""
    total = 10.0
    for cell, node, slot in itertools.product(("normal", "reduction"), range(4), (0, 1)):
        source = int(genotype.choices[f"{cell}/node{node}/input{slot}"])
        operation = genotype.choices[f"{cell}/node{node}/op{slot}"]
        if cell == "normal":
            total += 2 * COST[operation]
        elif source < 2:
            total += 0.7 if operation == "skip_connect" else 0.5 * COST[operation]
        else:
            total += COST[operation]
    return total


def pretend(noise: float) -> Callable[..., Timing]:
    """Return a timer of these costs, with noise of a relative size."""

    def timer(genotypes: Sequence[Genotype], generator: np.random.Generator) -> Timing:
        exact = np.array([true_cost(genotype) for genotype in genotypes])
        return Timing(
            exact * np.exp(noise * generator.standard_normal(len(exact))), 12 * len(exact), 0.0, 1.0
        )

    return timer


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return fit_predictor(
        SPACE, NETWORK, (3, 8, 8), timer=pretend(0.0), architectures=40, held_out=50
    )


def test_known_costs_are_found_from_few_architectures(predictor: Predictor) -> None:
    assert predictor.quality.mape < 0.5
    assert predictor.quality.spearman > 0.999
    assert predictor.quality.architectures == 40
    assert predictor.quality.forwards == 12 * 40


def test_noise_is_averaged_over_the_terms_that_cost_the_same() -> None:
    noisy = fit_predictor(SPACE, NETWORK, (3, 8, 8), timer=pretend(0.03), held_out=0)
    others = random_genotypes(SPACE, 200, np.random.default_rng(1))
    exact = np.array([true_cost(genotype) for genotype in others])
    sample = Sample.from_genotypes(noisy.layout, others)
    errors = np.abs(noisy.predict(sample).numpy() - exact) / exact
    assert errors.mean() < 0.02  # less than the noise of one measurement
    assert math.isnan(noisy.quality.mape)


def small_policy() -> Policy:
    generator = torch.Generator().manual_seed(0)
    policy = Policy(SPACE.choices, 0.05, "darts")
    for logits in policy.logits.values():
        logits.data = torch.randn(logits.shape, generator=generator)
    return policy


def test_the_expectation_is_that_of_all_architectures() -> None:
    space = ModuleSpace(Chain)
    predictor = fit_predictor(
        space, NetworkOptions(), (3, 6, 6), timer=lengths, held_out=0, architectures=8
    )
    policy = Policy(space.choices, 0.1, "module")
    for position, logits in enumerate(policy.logits.values()):
        logits.data = torch.arange(len(logits)) * (0.3 + position)
    everything = [
        Genotype("module", dict(zip(space.choices, options, strict=True)))
        for options in itertools.product(*space.choices.values())
    ]
    sample = Sample.from_genotypes(policy.layout, everything)
    by_hand = (policy.log_prob(sample).exp() * predictor.predict(sample)).sum()
    assert float(predictor.expectation(policy).detach()) == pytest.approx(
        float(by_hand.detach()), rel=1e-5
    )


def test_the_expectation_of_pairs_agrees_with_draws(predictor: Predictor) -> None:
    policy = small_policy()
    generator = torch.Generator().manual_seed(1)
    hard = {}
    for name, weights in policy.probabilities().items():
        p = torch.tensor(list(weights.values()))
        hard[name] = nn.functional.one_hot(
            torch.multinomial(p, 20_000, True, generator=generator), len(p)
        ).float()
    draws = predictor.predict(Sample(policy.layout, policy.layout.stack(hard), True))
    error = float(draws.std()) / math.sqrt(len(draws))
    assert abs(float(predictor.expectation(policy).detach()) - float(draws.mean())) < 4 * error


def test_gradients_are_those_of_finite_differences(predictor: Predictor) -> None:
    policy = small_policy().double()
    assert torch.autograd.gradcheck(
        lambda *logits: expectation_at(predictor, policy, logits),
        tuple(policy.logits.values()),
        eps=1e-5,
        fast_mode=True,
    )


def expectation_at(
    predictor: Predictor, policy: Policy, logits: Sequence[torch.Tensor]
) -> torch.Tensor:
    # The parameters themselves are perturbed by gradcheck, so that they only have to be named as
    # its inputs.
    assert all(
        a is b or torch.equal(a, b) for a, b in zip(logits, policy.logits.values(), strict=True)
    )
    return predictor.expectation(policy)


def test_relaxed_samples_have_a_gradient(predictor: Predictor) -> None:
    groups = tuple(
        g.detach().exp()[None].requires_grad_() for g in small_policy().log_probabilities()
    )
    sample = Sample(predictor.layout, groups, is_hard=False)
    predictor.predict(sample).sum().backward()
    assert all(group.grad is not None and bool(group.grad.abs().sum() > 0) for group in groups)


def test_a_prediction_is_the_sum_of_the_terms(predictor: Predictor) -> None:
    genotype = random_genotypes(SPACE, 1, np.random.default_rng(5))[0]
    by_hand = predictor.table.intercept
    for block, weights in zip(predictor.table.blocks, predictor.table.weights, strict=True):
        by_hand += float(
            weights[tuple(SPACE.choices[name].index(genotype.choices[name]) for name in block)]
        )
    prediction = predictor.predict(Sample.from_genotypes(predictor.layout, [genotype]))
    assert float(prediction[0]) == pytest.approx(by_hand, rel=1e-5)


def test_the_fastest_architecture_is_below_all_others(predictor: Predictor) -> None:
    genotype, least = predictor.least()
    genotype.check(SPACE.choices)
    # All skips that read a node are free; the reduction's first node has none to read, and pools
    # 0.5 a slot.
    assert true_cost(genotype) == 11.0
    others = Sample.from_genotypes(
        predictor.layout, random_genotypes(SPACE, 500, np.random.default_rng(2))
    )
    assert float(predictor.predict(others).min()) > least
    assert float(
        predictor.predict(Sample.from_genotypes(predictor.layout, [genotype]))[0]
    ) == pytest.approx(least, rel=1e-5)


def test_a_saved_predictor_is_the_same_one(predictor: Predictor, tmp_path: Path) -> None:
    predictor.save(tmp_path / "p.json")
    again = load_predictor(tmp_path / "p.json")
    others = random_genotypes(SPACE, 20, np.random.default_rng(3))
    sample = Sample.from_genotypes(again.layout, others)
    assert torch.equal(again.predict(sample), predictor.predict(sample))
    assert again.quality == predictor.quality
    assert again.fingerprint == predictor.fingerprint
    again.check(predictor.fingerprint, SPACE, dict(predictor.network), "p.json")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"processor": "Another CPU"}, "Another CPU"),
        ({"threads": 64}, "threads is"),
        (
            {"device": "cuda:0", "accelerator": "NVIDIA H100"},
            "accelerator is None there and NVIDIA H100 here",
        ),
        ({"backend": "compiled"}, "backend is eager there and compiled here"),
        ({"backend_version": "9.9"}, "backend_version is"),
        ({"height": 16}, "height is 8 there and 16 here"),
        ({"batch_size": 8}, "batch_size is 1 there and 8 here"),
    ],
)
def test_another_device_is_refused(predictor: Predictor, change: dict[str, Any], part: str) -> None:
    with pytest.raises(UserError, match="doesn't fit") as error:
        predictor.check(
            replace(predictor.fingerprint, **change), SPACE, dict(predictor.network), "p.json"
        )
    assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_another_space_or_size_is_refused(predictor: Predictor) -> None:
    here = predictor.fingerprint
    with pytest.raises(UserError, match="other choices than this darts space"):
        predictor.check(here, DartsSpace(operations=5), dict(predictor.network), "p.json")
    with pytest.raises(UserError, match=r"network\.channels is 4 there and 8 here"):
        predictor.check(here, SPACE, {**predictor.network, "channels": 8}, "p.json")
    with pytest.raises(UserError, match=r"network\.num_classes is 10 there and 100 here"):
        predictor.check(here, SPACE, {**predictor.network, "num_classes": 100}, "p.json")


def test_an_option_younger_than_the_file_had_its_default_there(predictor: Predictor) -> None:
    here = dict(predictor.network)
    older = {name: value for name, value in here.items() if name != "counting"}
    older_file = replace(predictor, network=older)
    older_file.check(predictor.fingerprint, SPACE, here, "p.json")
    with pytest.raises(UserError, match=r"network\.counting is products there and published here"):
        older_file.check(predictor.fingerprint, SPACE, {**here, "counting": "published"}, "p.json")


def damage(document: Any, path: tuple[str | int, ...], value: object) -> None:
    *parents, last = path
    for key in parents:
        document = document[key]
    document[last] = value


@pytest.mark.parametrize(
    ("path", "value", "part"),
    [
        (("format",), "other", "not a predictor"),
        (("version",), 2, "version is 2"),
        (("terms", 0, "weights_ms", 0, 0), "1", "it must be a finite number"),
        (("terms", 0, "weights_ms", 0), [1.0], "must be 3 numbers"),
        (("terms", 0, "choices"), ["os"], "terms[0].choices must be"),
        (("terms",), [], "each choice must be in one of the terms"),
        (("intercept_ms",), None, "intercept_ms is"),
        (("choices",), 3, "choices must map"),
        (("network",), [], "network is no object"),
        (("fingerprint", "threads"), "many", "fingerprint.threads is 'many'"),
        (("fingerprint",), {}, "the fingerprint must have the fields"),
        (("quality",), {"mape": 1}, "quality must have the fields"),
    ],
)
def test_a_damaged_file_gives_one_line(
    predictor: Predictor, path: tuple[str | int, ...], value: object, part: str, tmp_path: Path
) -> None:
    predictor.save(tmp_path / "p.json")
    document = json.loads((tmp_path / "p.json").read_text())
    damage(document, path, value)
    (tmp_path / "p.json").write_text(json.dumps(document))
    with pytest.raises(UserError) as error:
        load_predictor(tmp_path / "p.json")
    assert part in str(error.value)
    assert "\n" not in str(error.value)


class Chain(nn.Module):
    """Any model with choices in it; its latency here is the number of its layers."""

    def __init__(self) -> None:
        super().__init__()
        deep = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())
        self.first = OpChoice({"deep": deep, "skip": nn.Identity()})
        self.second = OpChoice(
            {
                "skip": nn.Identity(),
                "conv": nn.Conv2d(3, 3, 1),
                "deep": nn.Sequential(*deep, nn.ReLU()),
            }
        )
        self.pick = InputChoice(2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first = self.first(images)
        return self.pick([first, self.second(first)]).mean((2, 3))


def lengths(genotypes: Sequence[Genotype], _generator: np.random.Generator) -> Timing:
    chosen = [genotype.choices for genotype in genotypes]
    length = {"skip": 0.0, "conv": 1.0, "deep": 2.0}
    costs = np.array(
        [5 + length[c["first"]] + length[c["second"]] + 0.5 * int(c["pick"]) for c in chosen]
    )
    return Timing(costs, 12 * len(costs), 0.0, 0.0)


def test_any_model_with_choices_can_be_predicted() -> None:
    predictor = fit_predictor(
        ModuleSpace(Chain), NetworkOptions(), (3, 6, 6), timer=lengths, held_out=12
    )
    assert predictor.quality.mape < 0.5
    assert predictor.least()[0].choices == {"first": "skip", "second": "skip", "pick": "0"}


def one_choice() -> nn.Module:
    return nn.Sequential(
        OpChoice({"conv3": nn.Conv2d(3, 64, 3, padding=1), "skip": nn.Identity()}),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


@pytest.mark.parametrize("skip", [1.0, 1e-5])  # milliseconds
def test_a_model_with_a_single_choice_can_be_predicted(skip: float) -> None:
    """Its one group of terms has sizes of millions, and differs from no other."""
    space = ModuleSpace(one_choice)
    cost = {"skip": skip, "conv3": 3.0}
    predictor = fit_predictor(
        space,
        NetworkOptions(),
        (3, 224, 224),
        timer=lambda genotypes, _: Timing(
            np.array([cost[g.choices["0"]] for g in genotypes]), 1, 0.0, 0.0
        ),
        held_out=0,
        architectures=8,
    )
    both = [Genotype("module", {"0": option}) for option in cost]
    predicted = predictor.predict(Sample.from_genotypes(predictor.layout, both)).tolist()
    assert predicted == pytest.approx(list(cost.values()), rel=0.02, abs=1e-4)


def test_a_real_backend_is_measured() -> None:
    predictor = fit_predictor(
        ModuleSpace(Chain),
        NetworkOptions(),
        (3, 6, 6),
        "onnxruntime",
        threads=1,
        rounds=1,
        held_out=3,
    )
    assert predictor.fingerprint.backend == "onnxruntime"
    assert predictor.quality.measuring_seconds > 0
    assert predictor.quality.building_seconds > 0
    assert predictor.least()[1] > 0


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"architectures": 3}, "architectures is 3"),
        ({"held_out": -1}, "held_out is -1"),
        ({"rounds": 0}, "rounds is 0"),
    ],
)
def test_wrong_arguments_give_one_line(options: dict[str, Any], part: str) -> None:
    with pytest.raises(UserError, match=part):
        fit_predictor(SPACE, NETWORK, (3, 8, 8), timer=pretend(0.0), **options)
