"""The exact gradient by enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch

from unas.architecture.genotype import Genotype
from unas.architecture.policy import Policy, Sample
from unas.common.errors import UserError
from unas.compute.shapes import Scalar
from unas.estimators._gumbel import check_num_samples
from unas.estimators.base import Cost, Estimator


@dataclass(frozen=True)
class Exact(Estimator):
    """The exact gradient of Σ_z p(z)·cost(z) over all architectures z: the oracle of the others.

    `num_samples` is how many architectures one call of the cost gets.

    Args:
        limit: more architectures than this are refused.
    """

    is_unbiased: ClassVar[bool] = True
    needs_cost_gradient: ClassVar[bool] = False
    draws_from_policy: ClassVar[bool] = False

    limit: int = 100_000

    def __call__(
        self,
        policy: Policy,
        cost: Cost,
        *,
        num_samples: int = 1,
        generator: torch.Generator | None = None,  # noqa: ARG002  the interface has it; nothing is drawn here
    ) -> Scalar:
        """See `Estimator`.

        Raises:
            UserError: there are more architectures than `limit`.
        """
        check_num_samples(num_samples)
        count = math.prod(len(options) for options in policy.choices.values())
        if count > self.limit:
            raise UserError(
                f"exact: {count} architectures are more than limit {self.limit}; "
                "use rebar or reinforce_loo"
            )
        total = torch.zeros(())
        genotypes = _all_genotypes(policy)
        for _ in range(0, count, num_samples):
            chunk = list(itertools.islice(genotypes, num_samples))
            # The last chunk is filled up: a supernet shares its batch out to `num_samples`
            # architectures, no fewer.
            filler = chunk[-1:] * (num_samples - len(chunk))
            sample = Sample.from_genotypes(policy.layout, chunk + filler)
            with torch.no_grad():
                costs = cost(sample).to("cpu")
            total = total + (policy.log_prob(sample).exp() * costs)[: len(chunk)].sum()
        return total


def _all_genotypes(policy: Policy) -> Iterator[Genotype]:
    for options in itertools.product(*policy.choices.values()):
        yield Genotype(policy.layout.space, dict(zip(policy.choices, options, strict=True)))
