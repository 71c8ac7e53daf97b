"""Digits: the whole line in minutes on two CPU cores."""

from unas.config import Config
from unas.data import Augmentation
from unas.data.digits import Digits
from unas.searching.choosing import ChoosingConfig
from unas.searching.config import AdamConfig, SearchConfig
from unas.spaces.darts import DartsNetworkOptions, DartsSpace
from unas.training import TrainingConfig


def digits() -> Config:
    """Return a short search and training on the 8×8 digits of scikit-learn."""
    augmentation = Augmentation(crop_padding=1)
    return Config(
        dataset=Digits(),
        # Kernels of 5×5 and more would cover most of an 8×8 image: the first four operations have
        # none.
        space=DartsSpace(channels=8, layers=3, operations=4),
        network=DartsNetworkOptions(channels=16, layers=5, drop_path=0.1),
        search=SearchConfig(
            warm_up_epochs=2,
            epochs=10,
            batch_size=64,
            architectures_per_batch=8,
            weights=AdamConfig(lr=2e-3, final_lr=2e-4, weight_decay=3e-4),
            policy=AdamConfig(lr=5e-2, final_lr=1e-2, weight_decay=1e-6),
            augmentation=augmentation,
        ),
        choosing=ChoosingConfig(candidates=8),
        training=TrainingConfig(
            epochs=25, warm_up_epochs=2, batch_size=64, lr=0.1, augmentation=augmentation
        ),
    )
