"""A policy trained on the table by a gradient estimator that asks for hard architectures only."""

from __future__ import annotations

import torch
from torch import Tensor

from unas.architecture.policy import Policy, Sample
from unas.estimators import Estimator
from unas.lab.queries import Queries


def policy_search(
    queries: Queries, estimator: Estimator, *, lr: float, num_samples: int, seed: int
) -> None:
    """Step down the estimated gradient of the expected cost until the budget is spent.

    Where the table doesn't list an architecture that is drawn, its cost is that of the nearest one.

    Args:
        queries: answers with costs.
        estimator: of the gradient; its cost is called with hard samples only.
        lr: of Adam, in the policy's logits.
        num_samples: architectures drawn for each step.
        seed: of the draws.
    """
    table, generator = queries.table, torch.Generator().manual_seed(seed)
    policy = Policy(table.choices, space="table")
    optimiser = torch.optim.Adam(policy.parameters(), lr=lr)

    def cost(sample: Sample) -> Tensor:
        return torch.tensor([queries(table.nearest(options)) for options in table.options(sample)])

    while True:
        optimiser.zero_grad()
        torch.autograd.backward(
            estimator(policy, cost, num_samples=num_samples, generator=generator)
        )
        optimiser.step()
