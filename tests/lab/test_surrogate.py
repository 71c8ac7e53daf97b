"""The model behind `surrogate_policy`, against the textbook and on what it has not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from synthetic_table import synthetic_table
from unas.common.errors import UserError
from unas.lab.blackbox._surrogate import GaussianProcess
from unas.lab.blackbox.surrogate_policy import SurrogatePolicy, standardised

TABLE = synthetic_table([3, 2, 4, 3], pairs=0.3, triples=0.0, seed=3)  # 72 architectures


@pytest.mark.parametrize("options", [{"start": 1}, {"memory": 1.5}])
def test_surrogate_policy_refuses_impossible_options(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        SurrogatePolicy(**options)


def test_the_surrogate_equals_the_textbook() -> None:
    """Rasmussen & Williams 2006, equations 2.25 and 2.26, with loops and an explicit inverse."""
    generator = torch.Generator().manual_seed(0)
    known = torch.randperm(len(TABLE), generator=generator)[:20]
    features, costs = TABLE.features, torch.randn(20, generator=generator, dtype=torch.float64)
    process = GaussianProcess()
    process.fit(features[known], costs, len(TABLE.choices))
    mean, deviation = process(features)

    def kernel(i: int, j: int) -> float:
        return float(np.exp(-process.scale * (TABLE.rows[i] != TABLE.rows[j]).sum()))

    gram = np.array([[kernel(i, j) for j in known] for i in known]) + process.noise * np.eye(20)
    inverse = np.linalg.inv(gram)
    cross = np.array([[kernel(i, j) for j in known] for i in range(len(TABLE))])
    np.testing.assert_allclose(mean.numpy(), cross @ inverse @ costs.numpy(), atol=1e-6)
    amplitude = costs.numpy() @ inverse @ costs.numpy() / 20
    expected = amplitude * (1 - np.einsum("ij,jk,ik->i", cross, inverse, cross))
    np.testing.assert_allclose(deviation.square().numpy(), expected, atol=1e-6)


def test_the_surrogate_predicts_what_it_has_not_seen() -> None:
    table = synthetic_table([4] * 5, pairs=0.3, triples=0.0, seed=2)
    order = torch.randperm(len(table), generator=torch.Generator().manual_seed(0))
    costs = standardised(torch.from_numpy(table.metrics["score"]))
    process = GaussianProcess()
    process.fit(table.features[order[:150]], costs[order[:150]], len(table.choices))
    mean, deviation = process(table.features[order[150:]])
    error = mean - costs[order[150:]]
    assert error.square().mean() < 0.2  # of a variance of 1
    assert ((error / deviation).abs() < 2).double().mean() > 0.8


def test_failures_far_worse_than_the_rest_do_not_set_the_scale() -> None:
    costs = torch.cat([torch.linspace(0, 1, 50), torch.tensor([1e6])]).double()
    assert standardised(costs)[:50].std() > 0.5
    assert standardised(torch.ones(5).double()).abs().max() == 0
