"""A cost that is a sum over an architecture's choices: exact moments under a policy, and the cheapest architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Layout, Policy, Sample
from unas.costs.blocks import Block, Terms, blocks_of, random_genotypes
from unas.spaces import SearchSpace

CHECKED = 6  # random architectures that a table must be exact on
FITTED = 96  # random architectures that a table is fitted to where a cost is no sum
RIDGE = 1e-2  # relative to the mean square of a column


@dataclass(frozen=True)
class CostTable:
    """c(z) = intercept + Σ_blocks ⟨weights, ⊗ of the block's choices⟩, a block being one choice, or the two of a slot.

    Multilinear in the one-hot choices, so it is defined and differentiable at relaxed ones; no
    choice is in two blocks and choices are independent under a policy, so mean and variance are
    sums of those of the blocks.

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
        """Return the cost of each of G architectures, [G], differentiable in the sample's weights."""
        parts = [
            (_joint(sample, block) * weights.to(sample.groups[0])).flatten(1).sum(1)
            for block, weights in zip(self.blocks, self.weights, strict=True)
        ]
        return self.intercept + torch.stack(parts).sum(0)

    def of(self, genotype: Genotype) -> float:
        """Return the cost of one architecture."""
        total = self.intercept
        for block, weights in zip(self.blocks, self.weights, strict=True):
            total += float(
                weights[tuple(self.layout.choices[n].index(genotype.choices[n]) for n in block)]
            )
        return total

    def moments(self, policy: Policy) -> tuple[Tensor, Tensor]:
        """Return the exact mean and variance of the cost under a policy, [] each, differentiable in its logits."""
        groups, where = policy.log_probabilities(), policy.layout.position
        p = {
            name: groups[where[name][0]][where[name][1]].exp()[None] for name in self.layout.choices
        }
        mean, variance = (
            torch.zeros((), dtype=torch.float64) + self.intercept,
            torch.zeros((), dtype=torch.float64),
        )
        for block, weights in zip(self.blocks, self.weights, strict=True):
            joint = _joint(p, block)[0]
            own = (joint * weights).sum()
            mean, variance = mean + own, variance + (joint * (weights - own) ** 2).sum()
        return mean, variance

    def least(self) -> Genotype:
        """Return the cheapest architecture: of each block its cheapest entry."""
        return cheapest((self,), (1.0,))

    def state_dict(self) -> dict[str, Any]:
        """Return the figures as a checkpoint can hold them."""
        return {
            "intercept": self.intercept,
            "blocks": [list(b) for b in self.blocks],
            "weights": list(self.weights),
        }

    @classmethod
    def from_state(cls, layout: Layout, state: Mapping[str, Any]) -> CostTable:
        """Return what `state_dict` described."""
        blocks = tuple(tuple(block) for block in state["blocks"])
        return cls(layout, state["intercept"], blocks, tuple(state["weights"]))


def cheapest(tables: Sequence[CostTable], scales: Sequence[float]) -> Genotype:
    """Return the architecture with the least sum of costs, each over its scale, of tables with the same blocks."""
    first = tables[0]
    picked: dict[str, str] = {}
    for position, block in enumerate(first.blocks):
        total = torch.stack(
            [t.weights[position] / s for t, s in zip(tables, scales, strict=True)]
        ).sum(0)
        best = torch.unravel_index(total.argmin(), total.shape)
        picked |= {
            name: first.layout.choices[name][int(i)] for name, i in zip(block, best, strict=True)
        }
    return Genotype(first.layout.space, {name: picked[name] for name in first.layout.choices})


def exact_table(
    space: SearchSpace, cost: Callable[[Genotype], float], build: Callable[[Genotype], nn.Module]
) -> CostTable | None:
    """Return the table of a cost, by differences from the architecture of all first options; None if it is no sum.

    Entries whose networks differ from the first one's in the same modules are counted once. That
    they cost the same is a guess, which random architectures test; if it is wrong, every entry is
    counted.

    Args:
        space: the search space.
        cost: counts an architecture's network exactly.
        build: returns an architecture's network.
    """
    terms = Terms(space, build)
    first, *others = (cost(genotype) for genotype in terms.representatives())
    by_group = np.array([0.0, *(other - first for other in others)])
    tested = random_genotypes(space, CHECKED, np.random.default_rng(0))
    expected = [cost(genotype) for genotype in tested]
    layout = Layout(space.choices, space.registry_name)
    for values in (lambda: by_group[terms.groups], lambda: _differences(terms, cost, first)):
        weights = tuple(
            torch.tensor(part, dtype=torch.float64) for part in terms.by_block(values())
        )
        table = CostTable(layout, float(first), terms.blocks, weights)
        if [table.of(genotype) for genotype in tested] == expected:
            return table
    return None


def _differences(
    terms: Terms, cost: Callable[[Genotype], float], first: float
) -> npt.NDArray[np.float64]:
    """Return what each entry alone adds to the architecture of all first options."""
    base = {name: options[0] for name, options in terms.choices.items()}
    pairs = [
        (block, entry)
        for block, own in zip(terms.blocks, terms.entries, strict=True)
        for entry in own
    ]
    changed = (
        Genotype(terms.space.registry_name, base | dict(zip(block, entry, strict=True)))
        for block, entry in pairs
    )
    return np.array([cost(genotype) - first for genotype in changed])


def fitted_table(
    space: SearchSpace, cost: Callable[[Genotype], float], count: int = FITTED
) -> CostTable:
    """Return the ridge regression of a cost on the one-hot blocks of random architectures: an approximation.

    Args:
        space: the search space.
        cost: counts or measures an architecture's network.
        count: how many architectures.
    """
    layout, blocks = Layout(space.choices, space.registry_name), blocks_of(space)
    genotypes = random_genotypes(space, count, np.random.default_rng(0))
    sample = Sample.from_genotypes(layout, genotypes)
    columns = torch.cat([_joint(sample, block).flatten(1) for block in blocks], 1).double()
    y = torch.tensor([cost(genotype) for genotype in genotypes], dtype=torch.float64)
    centred, level = columns - columns.mean(0), y.mean()
    gram = centred @ centred.T
    dual = torch.linalg.solve(
        gram + RIDGE * gram.diagonal().mean() * torch.eye(count, dtype=gram.dtype), y - level
    )
    found = centred.T @ dual
    shapes = [[len(space.choices[name]) for name in block] for block in blocks]
    parts = found.split([int(np.prod(shape)) for shape in shapes])
    weights = tuple(part.view(shape).clone() for part, shape in zip(parts, shapes, strict=True))
    return CostTable(layout, float(level - columns.mean(0) @ found), blocks, weights)


def _joint(weights: Mapping[str, Tensor] | Sample, block: Block) -> Tensor:
    """Return the product of a block's choices, [G, K] or [G, K_first, K_second]."""
    first = weights[block[0]]
    return first if len(block) == 1 else first[:, :, None] * weights[block[1]][:, None, :]
