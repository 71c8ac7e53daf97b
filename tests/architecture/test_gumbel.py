"""Noise, hard, relaxed and conditional samples, against scipy and rejection sampling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from unas.architecture.policy import Policy
from unas.common.errors import UserError
from unas.estimators import _gumbel, draw_hard, draw_relaxed

LOGITS = (1.0, -0.5, 0.3, -2.0)
SIGNIFICANT = 1e-4  # a test that fails once in 10,000 seeds


def make_policy(
    softening: float = 0.0, logits: tuple[float, ...] = LOGITS, copies: int = 1
) -> Policy:
    policy = Policy(
        {f"c{i}": [str(k) for k in range(len(logits))] for i in range(copies)}, softening
    )
    with torch.no_grad():
        for parameter in policy.logits.values():
            parameter.copy_(torch.tensor(logits))
    return policy


def probabilities(softening: float, logits: tuple[float, ...] = LOGITS) -> np.ndarray:
    softmax = np.exp(logits) / np.exp(logits).sum()
    return (softmax + softening) / (softmax + softening).sum()


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rejected(p: np.ndarray, picked: int, count: int) -> np.ndarray:
    """Draw perturbed log-probabilities by scipy until `count` have their argmax at `picked`,
    [count, K].
    """
    rows = np.log(p) + stats.gumbel_r.rvs(size=(int(2 * count / p[picked]), len(p)), random_state=0)
    kept = rows[rows.argmax(1) == picked]
    assert len(kept) >= count
    return kept[:count]


def test_uniform_noise_is_uniform_strictly_inside_the_interval() -> None:
    (noise,) = _gumbel.uniform_noise(make_policy(copies=5), 100_000, seeded(0))
    assert noise.dtype == torch.float64
    assert noise.shape == (100_000, 5, 4)
    assert noise.min() > 0
    assert noise.max() < 1
    assert stats.kstest(noise.flatten().numpy()[::7], "uniform").pvalue > SIGNIFICANT


def test_a_zero_from_the_generator_becomes_the_smallest_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        torch, "rand", lambda shape, **options: torch.zeros(shape, dtype=options["dtype"])
    )
    policy = make_policy()
    (noise,) = _gumbel.uniform_noise(policy, 1, None)
    assert 0 < noise.max() < 2**-53
    assert draw_relaxed(policy, 1, 0.4)["c0"].isfinite().all()


@pytest.mark.parametrize("softening", [0.0, 0.08])
def test_hard_samples_are_one_hot_with_the_policy_s_frequencies(softening: float) -> None:
    sample = draw_hard(make_policy(softening), 200_000, seeded(1))
    weights = sample["c0"]
    assert sample.is_hard
    assert set(weights.unique().tolist()) == {0.0, 1.0}
    assert (weights.sum(1) == 1).all()
    assert not weights.requires_grad
    counts = weights.sum(0).double().numpy()
    assert stats.chisquare(counts, probabilities(softening) * counts.sum()).pvalue > SIGNIFICANT


def test_rare_options_are_drawn_as_often_as_they_should_be() -> None:
    p = np.array([1 - 1.11e-3, 1e-3, 1e-4, 1e-5])
    policy = make_policy(logits=tuple(np.log(p)))
    counts: Any = sum(
        draw_hard(policy, 1_000_000, seeded(seed))["c0"].sum(0).double().numpy()
        for seed in range(4)
    )
    assert stats.chisquare(counts, p * counts.sum()).pvalue > SIGNIFICANT
    assert stats.binomtest(int(counts[2]), int(counts.sum()), 1e-4).pvalue > SIGNIFICANT


def test_choices_and_architectures_are_drawn_independently() -> None:
    first, second = (
        draw_hard(make_policy(copies=2), 50_000, seeded(2))[name].argmax(1) for name in ("c0", "c1")
    )
    for a, b in ((first, second), (first[1:], first[:-1])):
        assert stats.chi2_contingency(np.histogram2d(a, b, bins=4)[0]).pvalue > SIGNIFICANT


def test_relaxed_samples_are_on_the_simplex_and_follow_the_concrete_distribution() -> None:
    temperature = 0.4
    weights = (
        draw_relaxed(make_policy(), 20_000, temperature, seeded(3))["c0"].detach().double().numpy()
    )
    assert np.allclose(weights.sum(1), 1, atol=1e-6)
    # log ζ_0 − log ζ_1 = (log p_0 − log p_1 + a logistic variable)/τ
    p = probabilities(0.0)
    ratio = temperature * np.log(weights[:, 0] / weights[:, 1])
    assert stats.kstest(ratio, stats.logistic(loc=np.log(p[0] / p[1])).cdf).pvalue > SIGNIFICANT


@pytest.mark.parametrize("softening", [0.0, 0.08])
@pytest.mark.parametrize(
    "logits", [LOGITS, (100.0, -100.0, 0.0, 99.0), (8.0, 0.0, 0.0, 0.0)], ids=str
)
def test_conditional_samples_keep_their_argmax(
    logits: tuple[float, float, float, float], softening: float
) -> None:
    policy = make_policy(softening, logits, copies=3)
    log_p = policy.log_probabilities()
    noise, fresh = (_gumbel.gumbel_noise(policy, 20_000, seeded(seed)) for seed in (4, 5))
    noisy = _gumbel.perturbed(log_p, noise)
    picked = _gumbel.one_hot_argmax(noisy)
    for given in (fresh, _gumbel.coupled_noise(log_p, picked, noisy)):
        conditional = _gumbel.conditional(log_p, picked, given)
        assert torch.equal(_gumbel.one_hot_argmax(conditional)[0], picked[0])


@pytest.mark.parametrize(
    "logits", [LOGITS, (100.0, -100.0, 0.0, 99.0), (8.0, 0.0, 0.0, 0.0)], ids=str
)
def test_coupled_samples_equal_the_relaxed_ones_in_value_but_not_in_gradient(
    logits: tuple[float, float, float, float],
) -> None:
    policy = make_policy(0.0, logits)
    log_p = policy.log_probabilities()
    noisy = _gumbel.perturbed(log_p, _gumbel.gumbel_noise(policy, 20_000, seeded(6)))
    picked = _gumbel.one_hot_argmax(noisy)
    noise = _gumbel.coupled_noise(log_p, picked, noisy)
    assert not noise[0].requires_grad
    conditional = _gumbel.conditional(log_p, picked, noise)
    torch.testing.assert_close(conditional, noisy, rtol=1e-12, atol=1e-12)
    (gradient,) = torch.autograd.grad(
        conditional[0][picked[0].bool()].sum(), policy.logits["c0"], allow_unused=True
    )
    assert gradient is None or not gradient.any()  # the picked entry no longer depends on p


def test_an_exact_tie_has_no_nan() -> None:
    policy = make_policy(logits=(0.0, 0.0, -1.0))
    log_p = policy.log_probabilities()
    noisy = _gumbel.perturbed(log_p, (torch.zeros(1, 1, 3, dtype=torch.float64),))
    picked = _gumbel.one_hot_argmax(noisy)
    conditional = _gumbel.conditional(log_p, picked, _gumbel.coupled_noise(log_p, picked, noisy))
    torch.testing.assert_close(conditional, noisy)
    conditional[0].sum().backward()
    assert policy.logits["c0"].grad.isfinite().all()


@pytest.mark.parametrize("picked", range(len(LOGITS)))
@pytest.mark.parametrize("softening", [0.0, 0.08])
def test_conditional_samples_are_distributed_as_by_rejection(picked: int, softening: float) -> None:
    policy, p = make_policy(softening), probabilities(softening)
    count = 20_000
    z = torch.nn.functional.one_hot(torch.tensor([[picked]]), len(p)).double().expand(count, 1, -1)
    noise = _gumbel.gumbel_noise(policy, count, seeded(7))
    found = (
        _gumbel.conditional(policy.log_probabilities(), (z,), noise)[0].squeeze(1).detach().numpy()
    )
    expected = rejected(p, picked, count)
    for k in range(len(p)):
        assert stats.ks_2samp(found[:, k], expected[:, k]).pvalue > SIGNIFICANT
    for a, b in ((0, 1), (1, 2), (0, 3), (2, 3)):  # and together, not only one by one
        assert (
            stats.ks_2samp(found[:, a] - found[:, b], expected[:, a] - expected[:, b]).pvalue
            > SIGNIFICANT
        )


def test_conditional_equals_the_formula_of_the_paper() -> None:
    policy, p = make_policy(), probabilities(0.0)
    (noise,) = _gumbel.uniform_noise(policy, 100, seeded(8))
    z = torch.nn.functional.one_hot(torch.arange(100) % 4, 4).double()[:, None]
    (found,) = _gumbel.conditional(policy.log_probabilities(), (z,), (-(-noise.log()).log(),))
    v = noise.squeeze(1).numpy()
    for g in range(100):
        k = g % 4
        expected = [-np.log(-np.log(v[g, i]) / p[i] - np.log(v[g, k])) for i in range(4)]
        expected[k] = -np.log(-np.log(v[g, k]))
        np.testing.assert_allclose(found[g, 0].detach().numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("picked", range(len(LOGITS)))
def test_coupled_noise_is_uniform_given_the_pick(picked: int) -> None:
    policy = make_policy(0.08)
    log_p = policy.log_probabilities()
    noisy = _gumbel.perturbed(log_p, _gumbel.gumbel_noise(policy, 100_000, seeded(9)))
    z = _gumbel.one_hot_argmax(noisy)
    gumbel = _gumbel.coupled_noise(log_p, z, noisy)[0].squeeze(1)[z[0].squeeze(1)[:, picked].bool()]
    v = torch.exp(-torch.exp(-gumbel)).numpy()
    for k in range(len(LOGITS)):
        assert stats.kstest(v[:, k], "uniform").pvalue > SIGNIFICANT
    assert abs(np.corrcoef(v.T) - np.eye(len(LOGITS))).max() < 5 / len(v) ** 0.5


def test_samples_have_the_policy_s_precision() -> None:
    for dtype in (torch.float32, torch.float64):
        policy = make_policy().to(dtype)
        assert draw_hard(policy, 2)["c0"].dtype == dtype
        assert draw_relaxed(policy, 2, 0.4)["c0"].dtype == dtype


def test_refuses_to_draw_nothing() -> None:
    with pytest.raises(UserError, match="num_samples is 0; it must be 1 or more"):
        draw_hard(make_policy(), 0)
