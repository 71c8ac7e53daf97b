"""REINFORCE with a leave-one-out baseline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from unas.architecture.policy import Policy
from unas.common.errors import UserError
from unas.compute.shapes import Scalar
from unas.estimators._gumbel import draw_hard
from unas.estimators.base import Cost, Estimator


@dataclass(frozen=True)
class ReinforceLeaveOneOut(Estimator):
    """Architectures drawn together, each with the others' mean cost as baseline (Kool et al. 2019).

    With several `draws`, the others are those that the same images were seen under, so what makes
    images hard or easy cancels; with one, they are the G architectures of the batch, each on images
    of its own.

    (A network whose normalisation mixes the images of several architectures couples their costs:
    what one architecture's pick changes in another's cost is left out, as in every estimator here.)

    Args:
        draws: m, how many architectures each image is seen under in one call; the cost is then
            asked for m·G.
    """

    is_unbiased: ClassVar[bool] = True
    needs_cost_gradient: ClassVar[bool] = False

    draws: int = 1

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise UserError(f"draws is {self.draws}; it must be 1 or more")

    @property
    def fewest_samples(self) -> int:
        """See `Estimator`: two architectures at least are compared."""
        return 2 if self.draws == 1 else 1

    def with_fewest_draws(self) -> ReinforceLeaveOneOut:
        """See `Estimator`: two draws of one architecture each."""
        return replace(self, draws=2)

    def __call__(
        self,
        policy: Policy,
        cost: Cost,
        *,
        num_samples: int = 2,
        generator: torch.Generator | None = None,
    ) -> Scalar:
        """See `Estimator`.

        Raises:
            UserError: `num_samples` and `draws` are both 1, so there are no others.
        """
        if num_samples * self.draws == 1:
            raise UserError(
                "reinforce_loo: one architecture a batch and one draw leave no others; "
                "set draws to 2 or more"
            )
        sample = draw_hard(policy, num_samples * self.draws, generator)
        with torch.no_grad():
            costs = cost(sample).to("cpu")
        # Those in a row are compared: [G, m] on the same images, or else all, [1, G].
        rows = costs.view(self.draws, num_samples).T if self.draws > 1 else costs[None]
        count = rows.shape[1]
        # c − mean of the others = (c − mean of all)·n/(n − 1)
        advantages = (rows - rows.mean(1, keepdim=True)) * (count / (count - 1))
        advantages = advantages.T.reshape(-1) if self.draws > 1 else advantages[0]
        return (advantages * policy.log_prob(sample)).mean()
