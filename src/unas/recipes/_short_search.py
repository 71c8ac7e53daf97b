"""The search of our own recipes: most of the time for the weights, few but exact policy updates."""

from __future__ import annotations

from unas.data import Augmentation
from unas.estimators.reinforce_loo import ReinforceLeaveOneOut
from unas.objectives.cross_entropy import CrossEntropy
from unas.searching.config import AdamConfig, SearchConfig


def short_search(warm_up_epochs: int, augmentation: Augmentation) -> SearchConfig:
    """Return a search whose policy learns for a single epoch after the warm-up (docs/ranking.md).

    The weights are trained on half of the images under hard architectures, and have their time
    before the policy begins: options without weights look best until the others have learned. The
    policy then follows the other half. What makes an image hard cancels between eight architectures
    that see the same images, so a hundred updates are enough, and it has no time to drift.

    Args:
        warm_up_epochs: epochs that train the weights alone.
        augmentation: of the training images.
    """
    return SearchConfig(
        warm_up_epochs=warm_up_epochs,
        epochs=1,
        batch_size=64,
        architectures_per_batch=4,
        validation_fraction=0.5,
        estimator=ReinforceLeaveOneOut(draws=8),
        policy_every=4,
        policy_on="validation",
        objectives={"cross_entropy": CrossEntropy()},
        weights_on="hard",
        balanced=True,
        weights=AdamConfig(lr=2e-3, final_lr=1e-4, weight_decay=3e-4),
        policy=AdamConfig(lr=1e-1, final_lr=5e-2, weight_decay=1e-6),
        augmentation=augmentation,
    )
