"""Relaxed, hard and conditional samples of a policy from given noise.

Noise v enters as the Gumbel variable −log(−log v), and everything is a float64 logarithm until the
sample is made: probabilities as small as float64 logits can express cost no precision, and no value
needs clamping.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unas.architecture.policy import Policy, Sample
from unas.common.errors import UserError

Groups = tuple[Tensor, ...]
# Half of the resolution of torch.rand in float64, which can return 0 but not 1.
_SMALLEST = 2.0**-54


def uniform_noise(policy: Policy, num_samples: int, generator: torch.Generator | None) -> Groups:
    """Draw noise strictly inside (0, 1): [G, n, K] float64 for each group of choices.

    Raises:
        UserError: `num_samples` is less than 1.
    """
    check_num_samples(num_samples)
    groups = []
    for names in policy.layout.groups:
        shape = (num_samples, len(names), len(policy.choices[names[0]]))
        uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
        groups.append(uniform.clamp_min(_SMALLEST))
    return tuple(groups)


def gumbel_noise(policy: Policy, num_samples: int, generator: torch.Generator | None) -> Groups:
    """Draw −log(−log u), u uniform: [G, n, K] float64 for each group of choices."""
    return tuple(-(-u.log()).log() for u in uniform_noise(policy, num_samples, generator))


def perturbed(log_p: Groups, noise: Groups) -> Groups:
    """Return log p + Gumbel noise, ζ̂, whose argmax is a draw from p (Gumbel-max)."""
    return tuple(p + gumbel for p, gumbel in zip(log_p, noise, strict=True))


def conditional(log_p: Groups, z_hard: Groups, noise: Groups) -> Groups:
    """Return perturbed log-probabilities drawn given their argmax (REBAR, appendix).

    For the picked k this is −log(−log v_k), for another i it is −log(−log v_i / p_i − log v_k).

    Args:
        log_p: log-probabilities [n, K].
        z_hard: one-hot picks [G, n, K].
        noise: Gumbel noise −log(−log v) [G, n, K].
    """
    triples = zip(log_p, z_hard, noise, strict=True)
    return tuple(_conditional(p, z.bool(), v) for p, z, v in triples)


def _conditional(
    log_p: Float[Tensor, "... choices options"],
    is_picked: Bool[Tensor, "architectures choices options"],
    noise: Float[Tensor, "architectures choices options"],
) -> Float[Tensor, "architectures choices options"]:
    top = torch.where(is_picked, noise, 0.0).sum(-1, keepdim=True)
    return torch.where(is_picked, top, -torch.logaddexp(-noise - log_p, -top))


def coupled_noise(log_p: Groups, z_hard: Groups, perturbed_log_p: Groups) -> Groups:
    """Return the Gumbel noise, a constant, for which `conditional` equals `perturbed_log_p`.

    UNAS, section 3.2, in uniform noise: log v_k = log u_k / p_k for the picked k, and
    log v_i = log u_i − p_i·log v_k for the others.
    """
    triples = zip(log_p, z_hard, perturbed_log_p, strict=True)
    return tuple(_coupled(p.detach(), z.bool(), noisy.detach()) for p, z, noisy in triples)


def _coupled(
    log_p: Float[Tensor, "... choices options"],
    is_picked: Bool[Tensor, "architectures choices options"],
    noisy: Float[Tensor, "architectures choices options"],
) -> Float[Tensor, "architectures choices options"]:
    top = torch.where(is_picked, noisy, 0.0).sum(-1, keepdim=True)
    # −log u_i/p_i = exp(−ζ̂_i); the difference from exp(−ζ̂_k) is taken with expm1, which is exact
    # near a tie.
    others = noisy - (-torch.expm1(noisy - top)).log() - log_p
    return torch.where(is_picked, noisy, others)


def one_hot_argmax(perturbed_log_p: Groups) -> Groups:
    """Return exact one-hot picks of the largest entries, as constants."""
    one_hot = []
    for group in perturbed_log_p:
        picks = group.detach().argmax(-1, keepdim=True)
        one_hot.append(torch.zeros_like(group, requires_grad=False).scatter_(-1, picks, 1.0))
    return tuple(one_hot)


def relax(perturbed_log_p: Groups, temperature: float) -> Groups:
    """Return softmax(perturbed / τ)."""
    return tuple((group / temperature).softmax(-1) for group in perturbed_log_p)


def minus_path_of(relaxed: Groups, conditioned: Groups) -> Groups:
    """Return the weights `relaxed`, with the gradient path of `conditioned` taken from theirs."""
    pairs = zip(relaxed, conditioned, strict=True)
    return tuple(z - (c - c.detach()) for z, c in pairs)


def make_sample(policy: Policy, groups: Groups, *, is_hard: bool) -> Sample:
    """Return the sample with these weights in the policy's own precision."""
    dtype = next(policy.parameters()).dtype
    return Sample(policy.layout, tuple(group.to(dtype) for group in groups), is_hard)


def draw_hard(policy: Policy, num_samples: int, generator: torch.Generator | None = None) -> Sample:
    """Draw G = `num_samples` architectures from the policy."""
    with torch.no_grad():
        noisy = perturbed(policy.log_probabilities(), gumbel_noise(policy, num_samples, generator))
        return make_sample(policy, one_hot_argmax(noisy), is_hard=True)


def draw_relaxed(
    policy: Policy, num_samples: int, temperature: float, generator: torch.Generator | None = None
) -> Sample:
    """Draw G = `num_samples` relaxed architectures, differentiable in the policy's logits."""
    noisy = perturbed(policy.log_probabilities(), gumbel_noise(policy, num_samples, generator))
    return make_sample(policy, relax(noisy, temperature), is_hard=False)


def check_num_samples(num_samples: int) -> None:
    """Refuse to draw nothing: the mean of no cost would be a silent NaN or zero gradient."""
    if num_samples < 1:
        raise UserError(f"num_samples is {num_samples}; it must be 1 or more")


def check_temperature(temperature: float) -> None:
    """Refuse a temperature that no softmax has."""
    if not temperature > 0:
        raise UserError(f"temperature is {temperature}; it must be more than 0 (UNAS: 0.4)")
