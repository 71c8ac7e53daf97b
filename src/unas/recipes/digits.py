"""Digits: the whole line in minutes on two CPU cores."""

from unas.compute.runtime import RuntimeConfig
from unas.config import Config
from unas.data import Augmentation
from unas.data.digits import Digits
from unas.recipes._short_search import short_search
from unas.spaces.darts import DartsNetworkOptions, DartsSpace
from unas.training import TrainingConfig


def digits() -> Config:
    """Return a short search and training on the 8×8 digits of scikit-learn."""
    augmentation = Augmentation(crop_padding=1)
    return Config(
        dataset=Digits(),
        # Kernels of 5×5 and more would cover most of an 8×8 image: the first four operations have
        # none.
        space=DartsSpace(channels=8, layers=3, operations=4, bn="routed"),
        network=DartsNetworkOptions(channels=16, layers=5, drop_path=0.1),
        # An epoch has eleven steps, so the policy learns in each of a hundred.
        search=short_search(
            warm_up_epochs=70,
            augmentation=augmentation,
            epochs=10,
            policy_every=1,
            architectures=8,
        ),
        training=TrainingConfig(
            epochs=25, warm_up_epochs=2, batch_size=64, lr=0.1, augmentation=augmentation
        ),
        # A layer of 8×8 images takes as long as threads take to start and wait for each other.
        runtime=RuntimeConfig(threads=1),
    )
