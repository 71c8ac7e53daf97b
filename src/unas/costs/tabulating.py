"""Making the table of a cost: exactly, where the cost is a sum over choices, or fitted."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Layout, Sample
from unas.costs.blocks import Terms, blocks_of, random_genotypes
from unas.costs.table import CostTable, joint
from unas.spaces import SearchSpace

CHECKED = 6  # random architectures that a table must be exact on
FITTED = 96  # random architectures that a table is fitted to where a cost is no sum
RIDGE = 1e-2  # relative to the mean square of a column


def exact_table(
    space: SearchSpace, cost: Callable[[Genotype], float], build: Callable[[Genotype], nn.Module]
) -> CostTable | None:
    """Return the table of a cost, by differences from the architecture of all first options.

    Entries whose networks differ from the first one's in the same modules are counted once. That
    they cost the same is a guess, which random architectures test; if it is wrong, every entry is
    counted. If that fails the test too, the cost is no sum over choices, and there is no table.

    Args:
        space: the search space.
        cost: counts an architecture's network exactly.
        build: returns an architecture's network.
    """
    terms = Terms(space, build)
    base_cost, *group_costs = [cost(genotype) for genotype in terms.representatives()]
    by_group = np.array([0.0, *(group_cost - base_cost for group_cost in group_costs)])
    tested = random_genotypes(space, CHECKED, np.random.default_rng(0))
    expected = [cost(genotype) for genotype in tested]
    table = _table(terms, float(base_cost), by_group[terms.groups])
    if [table.of(genotype) for genotype in tested] == expected:
        return table
    each_alone = np.array([cost(genotype) - base_cost for genotype in terms.changed()])
    table = _table(terms, float(base_cost), each_alone)
    if [table.of(genotype) for genotype in tested] == expected:
        return table
    return None


def _table(terms: Terms, intercept: float, values: npt.NDArray[np.float64]) -> CostTable:
    """Return the table of what each term adds to the architecture of all first options."""
    layout = Layout(terms.choices, terms.space.registry_name)
    weights = [torch.tensor(array, dtype=torch.float64) for array in terms.by_block(values)]
    return CostTable(layout, intercept, terms.blocks, tuple(weights))


def fitted_table(
    space: SearchSpace, cost: Callable[[Genotype], float], count: int = FITTED
) -> CostTable:
    """Return the ridge regression of a cost on the one-hot blocks of random architectures.

    Args:
        space: the search space.
        cost: counts or measures an architecture's network.
        count: how many architectures.
    """
    layout = Layout(space.choices, space.registry_name)
    blocks = blocks_of(space)
    genotypes = random_genotypes(space, count, np.random.default_rng(0))
    sample = Sample.from_genotypes(layout, genotypes)
    columns = torch.cat([joint(sample, block).flatten(1) for block in blocks], 1).double()
    costs = torch.tensor([cost(genotype) for genotype in genotypes], dtype=torch.float64)
    centre = columns.mean(0)
    level = costs.mean()
    coefficients = _ridge(columns - centre, costs - level)
    shapes = [[len(space.choices[name]) for name in block] for block in blocks]
    sizes = [math.prod(shape) for shape in shapes]
    by_block = torch.split(coefficients, sizes)  # type: ignore[no-untyped-call]
    weights = [part.view(shape).clone() for part, shape in zip(by_block, shapes, strict=True)]
    intercept = float(level - centre @ coefficients)
    return CostTable(layout, intercept, blocks, tuple(weights))


def _ridge(columns: Tensor, values: Tensor) -> Tensor:
    """Return the coefficients, [k], of centred columns [n, k] for centred values [n]."""
    gram = columns @ columns.T
    penalty = RIDGE * gram.diagonal().mean() * torch.eye(len(values), dtype=gram.dtype)
    dual: Tensor = torch.linalg.solve(gram + penalty, values)
    return columns.T @ dual
