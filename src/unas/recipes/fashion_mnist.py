"""Fashion-MNIST: a real middle size."""

from unas.config import Config
from unas.data import Augmentation
from unas.data.fashion_mnist import FashionMnist
from unas.recipes._short_search import short_search
from unas.spaces.darts import DartsNetworkOptions, DartsSpace
from unas.training import TrainingConfig


def fashion_mnist() -> Config:
    """Return a search and training on the 28×28 clothes of Fashion-MNIST."""
    return Config(
        dataset=FashionMnist(),
        space=DartsSpace(channels=16, layers=5, bn="routed"),
        network=DartsNetworkOptions(channels=24, layers=8, drop_path=0.1),
        search=short_search(
            warm_up_epochs=10,
            augmentation=Augmentation(crop_padding=2, flip=True),
            architectures=8,
        ),
        training=TrainingConfig(
            epochs=40,
            warm_up_epochs=2,
            lr=0.1,
            augmentation=Augmentation(crop_padding=2, flip=True, cutout=8),
        ),
    )
