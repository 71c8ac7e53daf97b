"""Small non-linear costs on which the exact gradient of a policy is known by enumeration.

Every cost is continuous in relaxed weights, differentiable almost everywhere, and well-defined at
hard ones. Together they cover 2 to 7 options, 1 to 4 choices, softening 0 and 0.08, and policies
from uniform to nearly decided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unas.architecture.policy import Policy, Sample

Weights = list[Tensor]  # [G, K] float64 of each choice


@dataclass(frozen=True)
class Problem:
    """A policy with fixed logits and a cost of its architectures.

    Args:
        name: what tables call it.
        logits: of each choice.
        function: maps the weights [G, K] of each choice to costs [G], in float64.
        softening: the policy's ε.
    """

    name: str
    logits: tuple[tuple[float, ...], ...]
    function: Callable[[Weights], Tensor]
    softening: float = 0.0

    def policy(self, dtype: torch.dtype = torch.float32) -> Policy:
        """Return a new policy with the problem's logits."""
        choices = {}
        for i, row in enumerate(self.logits):
            choices[f"choice{i}"] = [f"option{k}" for k in range(len(row))]
        policy = Policy(choices, self.softening).to(dtype)
        with torch.no_grad():
            for parameter, row in zip(policy.logits.values(), self.logits, strict=True):
                parameter.copy_(torch.tensor(row))
        return policy

    def cost(self, sample: Sample) -> Tensor:
        """Return the costs [G] of G architectures, relaxed or hard."""
        return self.function([sample[name].double() for name in sample.layout.choices])


def _toy(weights: Weights) -> Tensor:
    """Return (b − 0.45)² of one bit b, the example of the REBAR paper."""
    return (weights[0][:, 1] - 0.45).square()


def _quadratic_form(weights: Weights) -> Tensor:
    matrix = torch.tensor(
        [
            [0.9, -0.3, 0.2, 1.1, -0.8, 0.1],
            [-0.3, 0.4, 0.7, -0.6, 0.5, 0.9],
            [0.2, 0.7, -0.5, 0.3, 1.2, -1.0],
            [1.1, -0.6, 0.3, 0.8, -0.2, 0.4],
            [-0.8, 0.5, 1.2, -0.2, 0.6, 0.1],
            [0.1, 0.9, -1.0, 0.4, 0.1, -0.7],
        ],
        dtype=torch.float64,
    )
    stacked = torch.cat(weights, 1)
    return torch.einsum("gi,ij,gj->g", stacked, matrix, stacked)


def _product(weights: Weights) -> Tensor:
    factors = torch.tensor([[0.5, 1.5], [2.0, 0.7], [1.2, 0.4], [0.9, 1.8]], dtype=torch.float64)
    return torch.stack([w @ f for w, f in zip(weights, factors, strict=True)]).prod(0)


def _soft_xor(weights: Weights) -> Tensor:
    parity = torch.zeros(len(weights[0]), dtype=torch.float64)
    for w in weights:
        parity = parity * w[:, 0] + (1 - parity) * w[:, 1]
    return (parity - 0.3).square()


def _hinge(weights: Weights) -> Tensor:
    """Return the latency over a budget of 3 ms on the slower of two devices."""
    first = ((1.0, 2.5, 0.4, 3.0), (0.5, 2.0, 1.1), (0.2, 0.9, 1.6, 2.8, 0.6))
    second = ((2.0, 1.0, 1.5, 0.5), (1.5, 0.3, 2.2), (1.9, 0.4, 0.8, 1.0, 2.4))
    slower = torch.maximum(_linear(weights, first), _linear(weights, second))
    return (slower - 3.0).relu()


def _linear(weights: Weights, costs: Sequence[Sequence[float]]) -> Tensor:
    """Return the sum over choices of the mixed cost of their options, [G]."""
    terms = [w @ w.new_tensor(row) for w, row in zip(weights, costs, strict=True)]
    return torch.stack(terms).sum(0)


def _log_sum_exp(weights: Weights) -> Tensor:
    steps = torch.arange(12, dtype=torch.float64)
    scores = 2.0 * torch.sin(steps[:, None] * (steps[None, :6] + 1) * 1.7)
    return (torch.cat(weights, 1) @ scores).logsumexp(1)


def _table(weights: Weights) -> Tensor:
    """Look a cost up in a table without structure, extended multilinearly between architectures."""
    table = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return torch.einsum("ga,gb,gc,abc->g", *weights, table)


def _cross_entropy(weights: Weights) -> Tensor:
    right = torch.tensor([0.9, 0.05, 0.4, 0.7, 0.02, 0.3], dtype=torch.float64)
    return -(weights[0] @ right + 0.01).log()


def _network(weights: Weights) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    first = torch.randn(17, 8, generator=generator, dtype=torch.float64)
    second = torch.randn(8, generator=generator, dtype=torch.float64)
    return torch.tanh(torch.cat(weights, 1) @ first) @ second


PROBLEMS: tuple[Problem, ...] = (
    Problem("toy", ((0.4, -0.2),), _toy),
    Problem("quadratic form", ((0.5, -1.0, 0.2), (0.0, 1.5, -0.5)), _quadratic_form),
    Problem("product", ((0.0, 0.0), (2.0, -1.0), (-0.5, 0.5), (1.0, 0.3)), _product),
    Problem("soft xor", ((1.0, -1.0), (0.3, 0.0), (-2.0, 0.5)), _soft_xor, softening=0.08),
    Problem(
        "hinge",
        ((0.0, 3.0, -3.0, 1.0), (-1.0, 0.5, 2.0), (0.0, 0.0, 4.0, -4.0, 1.0)),
        _hinge,
        softening=0.08,
    ),
    Problem(
        "log-sum-exp",
        ((0.0, 0.5, -0.5, 1.0, -1.0, 2.0, 0.2), (0.3, 0.0, -0.7, 1.2, 0.1)),
        _log_sum_exp,
    ),
    Problem("table", ((0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0)), _table),
    Problem("cross-entropy", ((5.0, 1.0, -2.0, 0.0, 3.0, -1.0),), _cross_entropy),
    Problem(
        "network",
        (
            (0.5, 0.0),
            (1.0, -1.0, 0.0),
            (0.2, 0.0, -0.4, 0.9, 0.0),
            (0.0, 1.5, -1.5, 0.3, 0.0, 0.6, -0.3),
        ),
        _network,
        softening=0.08,
    ),
)
