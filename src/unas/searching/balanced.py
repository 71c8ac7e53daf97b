"""Architectures that are drawn together so that no option is left out by chance."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from unas.architecture.policy import Policy, Sample


@torch.no_grad()
def draw_balanced(
    policy: Policy, num_samples: int, generator: torch.Generator | None = None
) -> Sample:
    """Draw G = `num_samples` architectures in which each option comes as often as is probable.

    An option of probability p is picked ⌊G·p⌋ or ⌈G·p⌉ times: for each choice by itself, G points
    at equal distances, moved together by a uniform number, are looked up in the cumulative
    probabilities, and their order is shuffled (systematic sampling). So each architecture by itself
    is a draw from the policy, but they are not independent of each other: what needs independent
    draws, as a leave-one-out baseline does, must not use them. Under a uniform policy with G a
    multiple of the number of options, each option is picked equally often, which is the strict
    fairness of FairNAS (Chu et al. 2021).
    """
    dtype = next(policy.parameters()).dtype
    groups = [
        _picks(log_p.exp(), num_samples, generator).to(dtype)
        for log_p in policy.log_probabilities()
    ]
    return Sample(policy.layout, tuple(groups), is_hard=True)


def _picks(p: Tensor, num_samples: int, generator: torch.Generator | None) -> Tensor:
    """Return one-hot picks [G, n, K] of n choices with probabilities p [n, K]."""
    choices, options = p.shape
    offsets = torch.rand(choices, 1, generator=generator, dtype=p.dtype)
    points = (torch.arange(num_samples) + offsets) / num_samples
    cumulative = p.cumsum(1)
    cumulative /= cumulative[:, -1:].clone()  # the sum, 1 but for rounding
    in_order = torch.searchsorted(cumulative, points, right=True).clamp_max(options - 1)
    shuffled = torch.rand(choices, num_samples, generator=generator).argsort(1)
    return one_hot(in_order.gather(1, shuffled), options).transpose(0, 1)
