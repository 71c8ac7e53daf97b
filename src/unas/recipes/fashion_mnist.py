"""Fashion-MNIST: a real middle size."""

from unas.config import Config
from unas.data import Augmentation
from unas.data.fashion_mnist import FashionMnist
from unas.searching.choosing import ChoosingConfig
from unas.searching.config import AdamConfig, SearchConfig
from unas.spaces.darts import DartsNetworkOptions, DartsSpace
from unas.training import TrainingConfig


def fashion_mnist() -> Config:
    """Return a search and training on the 28×28 clothes of Fashion-MNIST."""
    return Config(
        dataset=FashionMnist(),
        space=DartsSpace(channels=16, layers=5),
        network=DartsNetworkOptions(channels=24, layers=8, drop_path=0.1),
        search=SearchConfig(
            warm_up_epochs=2,
            epochs=10,
            batch_size=128,
            weights=AdamConfig(lr=2e-3, final_lr=2e-4, weight_decay=3e-4),
            policy=AdamConfig(lr=5e-3, final_lr=1e-3, weight_decay=1e-6),
            augmentation=Augmentation(crop_padding=2, flip=True),
        ),
        choosing=ChoosingConfig(candidates=8),
        training=TrainingConfig(
            epochs=40,
            warm_up_epochs=2,
            lr=0.1,
            augmentation=Augmentation(crop_padding=2, flip=True, cutout=8),
        ),
    )
