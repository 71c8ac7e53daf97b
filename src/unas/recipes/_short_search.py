"""The search of our own recipes: most of the time for the weights, few but exact policy updates."""

from __future__ import annotations

from unas.data import Augmentation
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.objectives.cross_entropy import CrossEntropy
from unas.searching.config import AdamConfig, SearchConfig


def short_search(
    warm_up_epochs: int,
    augmentation: Augmentation,
    *,
    epochs: int = 1,
    small_epochs: int = 0,
    small_side: int = 0,
    policy_every: int = 4,
    settling_steps: int = 0,
    architectures: int = 1,
) -> SearchConfig:
    """Return a search whose policy learns for a short time after the warm-up (docs/ranking.md).

    The weights are trained on half of the images under hard architectures, and have their time
    before the policy begins: options without weights look best until the others have learned. The
    policy then follows the other half. What makes an image hard cancels between architectures that
    see the same images, so a hundred updates do, and it has no time to drift; more may follow with
    the weights at rest.

    Args:
        warm_up_epochs: epochs that train the weights alone.
        augmentation: of the training images.
        epochs: epochs that train the policy too.
        small_epochs: how many epochs of the warm-up see smaller images.
        small_side: the shorter side of these.
        policy_every: the steps of these from one update of the policy to the next.
        settling_steps: updates of the policy at the end, in which the weights rest.
        architectures: how many share a batch. One is the fastest for the modules of a user's model;
            the kernels of the DARTS space take as long for several, and as many processes can
            share the work.
    """
    draws = 16 if architectures == 1 else 8
    return SearchConfig(
        warm_up_epochs=warm_up_epochs,
        epochs=epochs,
        small_epochs=small_epochs,
        small_side=small_side,
        batch_size=64,
        architectures_per_batch=architectures,
        validation_fraction=0.5,
        estimator=ReinforceLeaveOneOut(draws=draws),
        policy_every=policy_every,
        settling_steps=settling_steps,
        policy_on="validation",
        objectives={"cross_entropy": CrossEntropy()},
        weights_on="hard",
        balanced=architectures > 1,
        weights=AdamConfig(lr=2e-3, final_lr=1e-4, weight_decay=3e-4),
        # The cosine is over the whole search: the policy begins to learn close to the final rate,
        # and where it settles it has the whole cosine once more.
        policy=AdamConfig(lr=1e-1, final_lr=5e-2, weight_decay=1e-6),
        augmentation=augmentation,
    )
