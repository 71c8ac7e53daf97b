"""A cost that is a sum over an architecture's choices: moments, and the cheapest architecture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Layout, Policy, Sample
from unas.costs.blocks import Block


@dataclass(frozen=True)
class CostTable:
    """c(z) = intercept + Σ_blocks ⟨weights, ⊗ of the block's choices⟩.

    A block is one choice, or the two of a slot. The sum is multilinear in the one-hot choices, so
    it is defined and differentiable at relaxed ones. No choice is in two blocks and choices are
    independent under a policy, so mean and variance are sums of those of the blocks.

    Args:
        layout: the space's choices.
        intercept: what every architecture costs.
        blocks: the choices of each block.
        weights: of each block, [K] or [K_first, K_second] float64.
    """

    layout: Layout
    intercept: float
    blocks: tuple[Block, ...]
    weights: tuple[Tensor, ...]

    def __call__(self, sample: Sample) -> Tensor:
        """Return the costs of G architectures, [G], differentiable in the sample's weights."""
        costs = []
        for block, weights in zip(self.blocks, self.weights, strict=True):
            products = joint(sample, block) * weights.to(sample.groups[0])
            costs.append(products.flatten(1).sum(1))
        return self.intercept + torch.stack(costs).sum(0)

    def of(self, genotype: Genotype) -> float:
        """Return the cost of one architecture."""
        total = self.intercept
        for block, weights in zip(self.blocks, self.weights, strict=True):
            entry = [self.layout.choices[name].index(genotype.choices[name]) for name in block]
            total += float(weights[tuple(entry)])
        return total

    def moments(self, policy: Policy) -> tuple[Tensor, Tensor]:
        """Return the exact mean and variance under a policy, [] each.

        They are differentiable in the policy's logits.
        """
        groups = policy.log_probabilities()
        probabilities = {}
        for name in self.layout.choices:
            group, row = policy.layout.position[name]
            probabilities[name] = groups[group][row].exp()[None]
        mean = torch.zeros((), dtype=torch.float64) + self.intercept
        variance = torch.zeros((), dtype=torch.float64)
        for block, weights in zip(self.blocks, self.weights, strict=True):
            p = joint(probabilities, block)[0]
            block_mean = (p * weights).sum()
            mean = mean + block_mean
            variance = variance + (p * (weights - block_mean) ** 2).sum()
        return mean, variance

    def least(self) -> Genotype:
        """Return the cheapest architecture: of each block its cheapest entry."""
        return cheapest((self,), (1.0,))

    def state_dict(self) -> dict[str, Any]:
        """Return the figures as a checkpoint can hold them."""
        return {
            "intercept": self.intercept,
            "blocks": [list(block) for block in self.blocks],
            "weights": list(self.weights),
        }

    @classmethod
    def from_state(cls, layout: Layout, state: Mapping[str, Any]) -> CostTable:
        """Return what `state_dict` described."""
        blocks = tuple(tuple(block) for block in state["blocks"])
        return cls(layout, state["intercept"], blocks, tuple(state["weights"]))


def cheapest(tables: Sequence[CostTable], scales: Sequence[float]) -> Genotype:
    """Return the architecture with the least sum of costs, each over its scale.

    Args:
        tables: of the costs, with the same blocks.
        scales: what each cost is divided by.
    """
    layout = tables[0].layout
    picked: dict[str, str] = {}
    for position, block in enumerate(tables[0].blocks):
        scaled = [
            table.weights[position] / scale for table, scale in zip(tables, scales, strict=True)
        ]
        total = torch.stack(scaled).sum(0)
        best = torch.unravel_index(total.argmin(), total.shape)
        for name, option in zip(block, best, strict=True):
            picked[name] = layout.choices[name][int(option)]
    return Genotype(layout.space, {name: picked[name] for name in layout.choices})


def joint(weights: Mapping[str, Tensor] | Sample, block: Block) -> Tensor:
    """Return the product of a block's choices, [G, K] or [G, K_first, K_second]."""
    if len(block) == 1:
        return weights[block[0]]
    first, second = block
    return weights[first][:, :, None] * weights[second][:, None, :]
