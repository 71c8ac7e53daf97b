"""The gradient that each architecture of a call contributes: what control variates learn from."""

from __future__ import annotations

import torch

from unas.architecture.policy import Policy
from unas.compute.shapes import Scalar
from unas.estimators._gumbel import Groups


def copies(log_p: Groups, num_samples: int) -> Groups:
    """Return log p [n, K] once for each architecture, [G, n, K], with a gradient of its own."""
    constants = (group.detach().expand(num_samples, -1, -1) for group in log_p)
    return tuple(constant.clone().requires_grad_() for constant in constants)


def in_logits(policy: Policy, in_log_p: Groups) -> Groups:
    """Turn gradients in log p into gradients in the logits φ, [G, n, K] each.

    With s = softmax(φ) and p = (s + ε)/(1 + Kε), ∂log p_i/∂φ_j = r_i (δ_ij − s_j), r_i = s_i/(p_i
    (1 + Kε)).
    """
    logits = {name: policy.logits[name].detach().double() for name in policy.choices}
    gradients = []
    for group, gradient in zip(policy.layout.stack(logits), in_log_p, strict=True):
        share = group.softmax(-1)
        scaled = gradient
        if policy.softening:  # else r = 1
            scaled = gradient * (share / (share + policy.softening))
        gradients.append(scaled - share * scaled.sum(-1, keepdim=True))
    return tuple(gradients)


def as_loss(log_p: Groups, in_log_p: Groups) -> Scalar:
    """Return a scalar whose gradient in log p is the mean of `in_log_p`, [G, n, K], over G."""
    loss = torch.zeros(())
    for p, gradient in zip(log_p, in_log_p, strict=True):
        loss = loss + (p * gradient.detach().mean(0)).sum()
    return loss
