"""The gradient that each architecture of a call contributes, which learning a control variate needs."""

from __future__ import annotations

import torch
from torch import Tensor

from unas.architecture.policy import Policy
from unas.estimators._gumbel import Groups


def copies(log_p: Groups, num_samples: int) -> Groups:
    """Return a copy [G, n, K] of log p [n, K] for each architecture, each with a gradient of its own."""
    return tuple(
        group.detach().expand(num_samples, -1, -1).clone().requires_grad_() for group in log_p
    )


def in_logits(policy: Policy, in_log_p: Groups) -> Groups:
    """Turn gradients in log p into gradients in the logits φ, [G, n, K] each.

    With s = softmax(φ) and p = (s + ε)/(1 + Kε), ∂log p_i/∂φ_j = r_i (δ_ij − s_j), r_i = s_i/(p_i
    (1 + Kε)).
    """
    stacked = policy.layout.stack(
        {name: policy.logits[name].detach().double() for name in policy.choices}
    )
    found = []
    for logits, gradient in zip(stacked, in_log_p, strict=True):
        share = logits.softmax(-1)
        if policy.softening:
            gradient = gradient * (share / (share + policy.softening))  # noqa: PLW2901  r = 1 without softening
        found.append(gradient - share * gradient.sum(-1, keepdim=True))
    return tuple(found)


def as_loss(log_p: Groups, in_log_p: Groups) -> Tensor:
    """Return a scalar whose gradient in log p is the mean over architectures of `in_log_p` [G, n, K]."""
    pairs = zip(log_p, in_log_p, strict=True)
    return sum(((p * gradient.detach().mean(0)).sum() for p, gradient in pairs), torch.zeros(()))
